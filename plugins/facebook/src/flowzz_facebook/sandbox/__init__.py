"""A Graph API to play with: what is known of the upstream (reference §10), with every known misfortune on a switch."""

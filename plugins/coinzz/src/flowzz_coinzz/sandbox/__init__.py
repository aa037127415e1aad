"""A Coinzz to play with: what is known of the upstream (reference §8), with every known misfortune on a switch."""

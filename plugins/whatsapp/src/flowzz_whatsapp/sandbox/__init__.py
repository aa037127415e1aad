"""A Cloud API to play with: sends, limits and status webhooks as the reference knows them, misfortunes on switches."""

"""Plugins: what they may contribute, how they are found, and the state each of them is in."""

"""The command line. Thin: each command asks one of the rooms below and shows the answer."""

from flowzz.cli.group import main

__all__ = ["main"]

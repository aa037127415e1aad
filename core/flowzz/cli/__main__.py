"""``python -m flowzz.cli``: the same as ``flowzz``."""

from flowzz.cli import main

main(prog_name="flowzz")

"""Loads the Lua scripts: the key prefixes, the includes, then the script's own text.

A script names its includes with lines ``-- @include name``; each is a file in ``scripts/include`` and is inserted once,
in order, ahead of the script.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from flowzz.queues.keys import lua_preamble

INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)


@cache
def script_text(name: str) -> str:
    """The whole text of ``scripts/<name>.lua``, ready to be sent to Redis."""
    folder = resources.files("flowzz.queues") / "scripts"
    own = (folder / f"{name}.lua").read_text(encoding="utf-8")
    parts = [lua_preamble()]
    parts += [(folder / "include" / f"{include}.lua").read_text(encoding="utf-8") for include in INCLUDE.findall(own)]
    return "\n".join([*parts, own])

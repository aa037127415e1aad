"""Loads the Lua scripts: the key prefixes, the includes, then the script's own text; and calls them.

A script names its includes with lines ``-- @include name``; each is a file in ``scripts/include`` and is inserted once,
in order, ahead of the script. Every script may be repeated, since redis-py repeats a call whose answer got lost. One
whose answer would then be another ("it waits already", though we made it wait) says ``-- @once``: its answer is kept
for a minute under the one key it is called with, and the same call again gets it and does nothing.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

from flowzz.queues.keys import ANSWER, lua_preamble

INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)
ONCE = re.compile(r"^-- @once$", re.MULTILINE)
TELL_ONCE = """
local told = redis.call('GET', KEYS[1])
if told then return cjson.decode(told) end
local answer = transition()
redis.call('SET', KEYS[1], cjson.encode(answer), 'EX', 60)
return answer
"""


class Script:
    """A script as one client calls it. May be called from any thread."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._text = script_text(name)
        self._digest = hashlib.sha1(self._text.encode()).hexdigest()  # noqa: S324 - Redis names scripts so
        self._once = ONCE.search(self._text) is not None

    def __call__(self, args: Sequence[Any]) -> Any:
        """What Redis answers. When it does not know the script (any more), its text is sent: that cannot be flushed
        between two commands, as after SCRIPT LOAD.
        """
        keys = [ANSWER(uuid.uuid4().hex)] if self._once else []
        try:
            return self._client.evalsha(self._digest, len(keys), *keys, *args)
        except NoScriptError:
            return self._client.eval(self._text, len(keys), *keys, *args)


@cache
def script_text(name: str) -> str:
    """The whole text of ``scripts/<name>.lua``, ready to be sent to Redis."""
    folder = resources.files("flowzz.queues") / "scripts"
    own = (folder / f"{name}.lua").read_text(encoding="utf-8")
    parts = [lua_preamble()]
    parts += [(folder / "include" / f"{include}.lua").read_text(encoding="utf-8") for include in INCLUDE.findall(own)]
    text = "\n".join([*parts, own])
    return f"local function transition()\n{text}\nend\n{TELL_ONCE}" if ONCE.search(own) else text

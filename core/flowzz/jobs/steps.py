"""Durable steps: a step that finished is not done again by a retry, or by the run after a crash."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flowzz.errors import DuplicateStep, Permanent
from flowzz.jobs.result import result_as_json

LONGEST_NAME = 200
LARGEST_RESULT = 256 * 1024
"""Bytes of JSON that one step may return; more belongs into the database, with its key as the result."""


class StepMemory(Protocol):
    """Where the results of one job's steps are kept, as JSON text."""

    def recall(self) -> Mapping[str, str]:
        """Every step that finished, by name."""
        ...

    def remember(self, name: str, result: str) -> None:
        """Keep one. Raises LeaseLost when another execution has the job by now."""
        ...


class Steps:
    """The steps of one execution. What earlier executions remembered is read at the first one."""

    def __init__(self, memory: StepMemory) -> None:
        self._memory = memory
        self._finished: Mapping[str, str] | None = None
        self._begun: set[str] = set()

    def run(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """See ``JobContext.step``."""
        if name in self._begun:
            raise DuplicateStep(f"step {name!r} was begun twice in one run; give each its own name, such as 'send-2'")
        if not 1 <= len(name) <= LONGEST_NAME:
            raise Permanent(f"expected a step's name to have 1 to {LONGEST_NAME} characters, got {len(name)}")
        self._begun.add(name)
        if self._finished is None:
            self._finished = self._memory.recall()
        if (kept := self._finished.get(name)) is not None:
            return json.loads(kept)
        text = result_as_json(function(*args, **kwargs), what=f"step {name!r}")
        if len(text) > LARGEST_RESULT:
            raise Permanent(f"step {name!r} returned {len(text):,} bytes; at most {LARGEST_RESULT:,} are kept")
        self._memory.remember(name, text)
        return json.loads(text)

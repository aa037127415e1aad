"""The one way tests wait: ask again until it is so, or a deadline passes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def eventually(predicate: Callable[[], Seen], timeout: float = 60.0, *, saying: str = "") -> Seen:
    """What ``predicate`` gives once it is true; AssertionError, naming the last thing it gave, after ``timeout`` s."""
    deadline = time.monotonic() + timeout
    while True:
        seen = predicate()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {saying or predicate} (last seen: {seen!r})")
        time.sleep(0.02)

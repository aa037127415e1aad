"""Telling a second request to stop from an echo of the first."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import FrameType

ECHO_S = 0.5


class Requests:
    """A signal handler that calls ``stop``, but not again for the same signal within half a second.

    ``timeout``, shells and init systems signal a process and then its group, so one request arrives twice. Two
    different signals are two requests: that is how the supervisor forces a child.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._heard: dict[int, float] = {}

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        before = self._heard.get(number)
        self._heard[number] = now
        if before is None or now - before >= ECHO_S:
            self._stop()

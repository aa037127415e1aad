"""Telling a second request to stop from an echo of the first."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def stopping_by(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on SIGTERM, Ctrl-C and a closed terminal (unless under ``nohup``) while the block runs.

    In the main thread only.
    """
    asked = Requests(stop)
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, asked) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

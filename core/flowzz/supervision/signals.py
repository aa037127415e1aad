"""Telling a second request to stop from an echo of the first."""

from __future__ import annotations

import os
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


def has_terminal() -> bool:
    """True when this process has a terminal, whose end would reach it as SIGHUP."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextmanager
def stopping_by(stop: Callable[[], None], *, restart: Callable[[], None] | None = None) -> Iterator[None]:
    """Call ``stop`` on SIGTERM, Ctrl-C and a closed terminal (unless under ``nohup``) while the block runs.

    With ``restart``, SIGUSR1 calls that, and so does SIGHUP where there is no terminal to be closed (a service).
    In the main thread only.
    """
    asked = Requests(stop)
    handlers: dict[int, Callable[[int, FrameType | None], None]] = {signal.SIGTERM: asked, signal.SIGINT: asked}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = asked
    if restart is not None:
        handlers[signal.SIGUSR1] = again = Requests(restart)
        if not has_terminal():
            handlers[signal.SIGHUP] = again
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

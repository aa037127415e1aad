"""A thread with a heartbeat: what the lease keeper and the overseer are."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger("flowzz.worker")


class Heartbeat:
    """Calls ``beat`` in a thread of its own every ``every_s`` seconds, the first time after as long, until stopped.

    A beat that gives a number of seconds wants the next one after that time instead. One that raises is logged and the
    next one comes: a worker without its heartbeat would lose all its leases.
    """

    def __init__(self, name: str, every_s: float, beat: Callable[[], float | None]) -> None:
        self._every_s = every_s
        self._beat = beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, wait_s: float = 0) -> None:
        """No beat begins from now on; waits up to ``wait_s`` seconds for one that is under way."""
        self._stopped.set()
        if wait_s:
            self._thread.join(wait_s)

    def _go_on(self) -> None:
        wait_s = self._every_s
        while not self._stopped.wait(wait_s):
            wait_s = self._every_s
            try:
                asked_s = self._beat()
            except Exception:
                log.exception("a heartbeat failed", thread=self._thread.name)
                continue
            if asked_s is not None:
                wait_s = asked_s

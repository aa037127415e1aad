"""How a worker's threads talk: handlers put outcomes in, the waiter puts news in, the dispatcher takes all out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from flowzz.errors import QueueUnavailable
from flowzz.jobs.outcome import Outcome
from flowzz.queues.claims import Claim, Settlement
from flowzz.queues.transitions import Transitions


@dataclass(slots=True)
class Done:
    """An execution that ended, ready to be settled. Never changed; not frozen, since there is one a job."""

    claim: Claim
    outcome: Outcome
    settlement: Settlement

    @property
    def job(self) -> str:
        """The job's name, for logs."""
        return self.claim.job or "?"


class Mailbox:
    """Finished executions, and that somebody knocked: news from Redis, or a stop. One thread takes, any thread puts.

    A lock serves as the bell: it is rung only while the taker waits, so putting costs next to nothing.
    """

    def __init__(self) -> None:
        self._done: deque[Done] = deque()
        self._knocked = False
        self._waits = False
        self._bell = threading.Lock()
        self._bell.acquire()

    def put(self, done: Done) -> None:
        self._done.append(done)
        if self._waits:
            self._ring()

    def knock(self) -> None:
        """Something happened that the dispatcher should look at: news from Redis, or a stop."""
        self._knocked = True
        if self._waits:
            self._ring()

    def take(self, timeout: float) -> list[Done]:
        """All finished executions; waits up to ``timeout`` seconds for one, or for a knock."""
        if timeout > 0:
            self._waits = True
            if not self._done and not self._knocked:
                self._bell.acquire(timeout=timeout)
            self._waits = False
        self._knocked = False
        done = []
        while self._done:
            done.append(self._done.popleft())
        return done

    def _ring(self) -> None:
        """Rung twice, it wakes once; a ring that comes too late makes the next wait a short one."""
        with suppress(RuntimeError):
            self._bell.release()


class Waiter:
    """A thread that blocks on the queues' wake-up keys while the worker has room, and knocks when there is news."""

    def __init__(self, transitions: Transitions, queues: Sequence[str], knock: Callable[[], None]) -> None:
        self._transitions = transitions
        self._queues = list(queues)
        self._knock = knock
        self._armed = threading.Event()
        self._news = False
        self._timeout = 1.0
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="flowzz-waiter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def arm(self, timeout: float) -> None:
        """Wait for news once, at most ``timeout`` seconds; does nothing while a wait is under way."""
        if not self._armed.is_set():
            self._timeout = timeout
            self._armed.set()

    def take_news(self) -> bool:
        """True once after a marker was taken from Redis: somebody must look, this worker or another."""
        news, self._news = self._news, False
        return news

    def close(self) -> None:
        self._closed = True
        self._armed.set()

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            self._armed.wait()
            if self._closed:
                return
            try:
                if self._transitions.await_news(self._queues, self._timeout):
                    self._news = True
            except QueueUnavailable:
                pause.wait(0.5)
            self._armed.clear()
            self._knock()

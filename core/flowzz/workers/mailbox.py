"""How a worker's threads talk: handlers put outcomes in, the waiter puts news in, the dispatcher takes all out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowzz.errors import QueueUnavailable
from flowzz.jobs.outcome import Outcome
from flowzz.queues.transitions import Claim, Settlement, Transitions


@dataclass(frozen=True, slots=True)
class Done:
    """An execution that ended, ready to be settled."""

    claim: Claim
    outcome: Outcome
    settlement: Settlement


class Mailbox:
    """A condition around three facts: finished executions, news from Redis, and that somebody knocked."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._done: deque[Done] = deque()
        self._knocked = False

    def put(self, done: Done) -> None:
        with self._changed:
            self._done.append(done)
            self._changed.notify()

    def knock(self) -> None:
        """Something happened that the dispatcher should look at: news from Redis, or a stop."""
        with self._changed:
            self._knocked = True
            self._changed.notify()

    def take(self, timeout: float | None) -> list[Done]:
        """All finished executions; waits up to ``timeout`` seconds for one, or for a knock."""
        with self._changed:
            if not self._done and not self._knocked:
                self._changed.wait(timeout)
            self._knocked = False
            done = list(self._done)
            self._done.clear()
            return done


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

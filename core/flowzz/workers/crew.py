"""The handler threads of a worker, and how claimed jobs get to them.

Waking a thread costs more than a short job does. So a batch wakes one thread, and every thread that takes a job while
others sleep and more jobs wait wakes the next one, but only when nobody is on the way already: jobs that return at once
run one after the other in the threads that are awake, and as soon as one waits for something outside, the next thread
starts. However many jobs are claimed, they start as fast as threads can be woken.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Work = TypeVar("Work")


class Crew(Generic[Work]):
    """``size`` daemon threads that call ``perform`` with what they are given, in order; it must not raise."""

    def __init__(self, size: int, perform: Callable[[Work], None]) -> None:
        self._size = size
        self._perform = perform
        self._waiting: deque[Work] = deque()
        self._asleep: list[threading.Lock] = []
        self._on_the_way = False
        self._closed = False

    def start(self) -> None:
        for number in range(self._size):
            threading.Thread(target=self._live, name=f"flowzz-job-{number + 1}", daemon=True).start()

    def give(self, work: Iterable[Work]) -> None:
        """Let the threads do all of it; returns at once."""
        self._waiting.extend(work)
        if self._waiting:
            self._wake()

    def close(self) -> None:
        """Threads that sleep end, the others when they return; what waits is not done any more."""
        self._closed = True
        self._waiting.clear()
        while self._asleep:
            self._wake()
            self._on_the_way = False

    def _wake(self) -> None:
        while self._asleep and not self._on_the_way:
            self._on_the_way = True
            try:
                bell = self._asleep.pop()
            except IndexError:
                # Whoever gave work meanwhile took this for somebody on the way: look again.
                self._on_the_way = False
                continue
            bell.release()
            return

    def _live(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        while not self._closed:
            try:
                work = self._waiting.popleft()
            except IndexError:
                self._sleep(bell)
                continue
            if self._waiting and self._asleep:
                self._wake()
            self._perform(work)

    def _sleep(self, bell: threading.Lock) -> None:
        """Until somebody wakes this thread. It says that it sleeps first and then looks again, so no work is missed."""
        self._asleep.append(bell)
        if self._waiting or self._closed:
            try:
                self._asleep.remove(bell)
            except ValueError:
                pass  # somebody has taken the bell to ring it
            else:
                return
        bell.acquire()
        self._on_the_way = False

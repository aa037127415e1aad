"""The worker's event loop: one thread on which all ``async def`` handlers run, many at a time.

A handler that blocks the loop holds up its neighbours there; what blocks belongs into ``asyncio.to_thread``, the
context's own calls included (``await asyncio.to_thread(ctx.progress, 40)``).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

import structlog

from flowzz.workers.execution import Execution, perform_async

log = structlog.get_logger("flowzz.worker")

CLOSES_WITHIN_S = 1.0


class EventLoop:
    """Started by the first job that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._given: deque[tuple[Execution, Callable[[Execution], None]]] = deque()
        self._called = False
        self._closed = False

    def submit(self, execution: Execution, finished: Callable[[Execution], None]) -> None:
        """Run a prepared execution; ``finished`` gets it, with its outcome, on the loop's thread."""
        loop = self._running()
        self._given.append((execution, finished))
        # A call from another thread wakes the loop by a socket, which costs more than a short job does.
        if not self._called:
            self._called = True
            loop.call_soon_threadsafe(self._begin_all, loop)

    def close(self) -> None:
        """Cancel what still runs and end the thread, or leave it behind when a handler blocks it."""
        with self._lock:
            self._closed = True
            if self._loop is None or self._thread is None:
                return
            self._loop.call_soon_threadsafe(self._cancel_all, self._loop)
            self._thread.join(CLOSES_WITHIN_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="flowzz-event-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._closed:
            try:
                loop.run_forever()
            except BaseException:  # SystemExit in a task of a handler must not end the loop
                log.exception("a task of a handler tried to end the event loop")
        loop.close()

    def _begin_all(self, loop: asyncio.AbstractEventLoop) -> None:
        self._called = False  # before it looks, so whoever gives one more calls again
        while self._given:
            self._begin(loop, *self._given.popleft())

    def _begin(
        self, loop: asyncio.AbstractEventLoop, execution: Execution, finished: Callable[[Execution], None]
    ) -> None:
        async def life() -> None:
            finished(await perform_async(execution))

        task = loop.create_task(life(), name=f"flowzz-{execution.claim.job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        reporter = execution.reporter

        def look() -> None:
            if reporter.cancel_requested or reporter.lease_lost:
                task.cancel()

        reporter.on_change(lambda: None if self._closed else _call_soon(loop, look))

    def _cancel_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for task in self._tasks:
            task.cancel()
        loop.call_later(0, loop.stop)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)

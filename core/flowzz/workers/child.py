"""What happens inside the process of one job: it runs the execution's steps and sends the outcome.

Its main thread runs the handler, with a Redis connection of its own and the worker's execution id: what it reports is
fenced like anybody's. SIGTERM raises in the handler what it was sent for.
"""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import FrameType

from flowzz.app import Flowzz
from flowzz.errors import FlowzzError, JobCanceled, LeaseLost, MemoryLimitExceeded
from flowzz.plugins.host import PluginHost
from flowzz.queues.claims import Claim
from flowzz.queues.transitions import Transitions
from flowzz.settings import Settings
from flowzz.workers.execution import Execution, run
from flowzz.workers.reporter import Reporter
from flowzz.workers.wire import (
    TELL_CANCELED,
    TELL_LOST,
    TELL_STOPPING,
    TELL_TIMEOUT,
    Assignment,
    dump_outcome,
)

KILL_ME_FIRST = "500"
"""Added to the kernel's out-of-memory score, so that it takes the job and not its worker."""


class JobTerminated(FlowzzError):
    """Somebody outside Flowzz sent SIGTERM to the job's process."""


class ChildReporter(Reporter):
    """A Reporter whose flags arrive over the link; they are read when somebody asks, or when SIGTERM arrives."""

    def __init__(self, transitions: Transitions, claim: Claim, link: socket.socket) -> None:
        super().__init__(transitions, claim, Event())
        self._link = link
        self._timed_out = False
        self._began = False
        self._terminated = False

    def begin(self, timeout: timedelta) -> None:
        super().begin(timeout)
        self._began = True
        if self._terminated:
            raise self._reason()

    def on_sigterm(self, _number: int, _frame: FrameType | None) -> None:
        self._terminated = True
        if self._began:
            raise self._reason()

    def _reason(self) -> FlowzzError:
        self._listen()
        if self._timed_out:
            return self.timed_out()
        if self._cancel:
            return JobCanceled()
        return LeaseLost() if self._lost else JobTerminated()

    def _check(self) -> None:
        self._listen()
        super()._check()

    def _listen(self) -> None:
        with suppress(OSError):
            told = self._link.recv(4096, socket.MSG_DONTWAIT)
            if TELL_STOPPING in told:
                self._stopping.set()
            if TELL_CANCELED in told:
                self._cancel = True
            if TELL_LOST in told:
                self._lost = True
            self._timed_out |= TELL_TIMEOUT in told

    @property
    def stop_requested(self) -> bool:
        self._listen()
        return super().stop_requested

    @property
    def cancel_requested(self) -> bool:
        self._listen()
        return super().cancel_requested

    @property
    def lease_lost(self) -> bool:
        self._listen()
        return super().lease_lost


def run_child(settings: Settings, plugins: PluginHost, link: socket.socket) -> None:
    """Run one assignment from ``link`` and answer with its outcome."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(KILL_ME_FIRST)
    assignment = Assignment.read(link)
    with Flowzz.open(settings, plugins=plugins) as app:
        reporter = ChildReporter(app.queues.transitions, assignment.claim, link)
        signal.signal(signal.SIGTERM, reporter.on_sigterm)
        execution = run(Execution(app, assignment.worker, assignment.claim, reporter, confined=memory_cap))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if execution.outcome is not None:
        link.sendall(dump_outcome(execution.outcome))


@contextmanager
def memory_cap(limit: int | None) -> Iterator[None]:
    """At most ``limit`` bytes more address space than now while the block runs (RLIMIT_AS)."""
    if limit is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    cap = pages * resource.getpagesize() + limit
    resource.setrlimit(resource.RLIMIT_AS, (cap, before[1]))
    try:
        yield
    except MemoryError as error:
        resource.setrlimit(resource.RLIMIT_AS, before)
        raise MemoryLimitExceeded(f"needed more than its memory_limit of {limit:,} bytes") from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

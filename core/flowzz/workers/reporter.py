"""What a running execution reports, and what it is told: lost lease, cancel, stop, time over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from flowzz import clock, logs
from flowzz.errors import JobTimeout, LeaseLost
from flowzz.queues.claims import Claim
from flowzz.queues.transitions import Transitions

LINE_LIMIT = 2_000


class Reporter:
    """The ReporterPort of one execution. Its flags are set by the heartbeat thread and read by the handler's.

    ``began_at`` is when the handler began; None before.
    """

    def __init__(self, transitions: Transitions, claim: Claim, stopping: Event) -> None:
        self._transitions = transitions
        self._claim = claim
        self._stopping = stopping
        self._lost = False
        self._cancel = False
        self._deadline = float("inf")
        self._timeout = timedelta(0)
        self._told: Callable[[], None] | None = None
        self.began_at: datetime | None = None
        self.claimed_at = time.monotonic()

    def begin(self, timeout: timedelta) -> None:
        """The handler starts now and has ``timeout``; later reports raise JobTimeout."""
        self._timeout = timeout
        self.began_at = clock.now()
        self._deadline = time.monotonic() + timeout.total_seconds()

    def report(
        self, *, progress: tuple[float, str] | None = None, log: Sequence[str] = (), checkpoint: Any = None
    ) -> None:
        """One script call. Raises LeaseLost, JobTimeout, or QueueUnavailable when Redis is away."""
        self._check()
        lines = [logs.without_secrets(line).replace("\n", " ")[:LINE_LIMIT] for line in log]
        lines = [line.encode(errors="replace").decode() for line in lines]
        if progress:
            progress = (progress[0], logs.without_secrets(progress[1]))
        stored = self._transitions.report(
            self._claim, self._claim.attempts_made + 1, progress=progress, checkpoint=checkpoint, log=lines
        )
        if not stored:
            self._lost = True
            raise LeaseLost

    def recall(self) -> Mapping[str, str]:
        """Results of the steps that finished, JSON text by name. Raises QueueUnavailable."""
        self._check()
        return self._transitions.recall(self._claim.job_id)

    def remember(self, name: str, result: str) -> None:
        """One script call. Raises LeaseLost, or QueueUnavailable when Redis is away."""
        if not self._transitions.remember(self._claim, name, result):
            self._lost = True
            raise LeaseLost

    def _check(self) -> None:
        if self._lost:
            raise LeaseLost
        if time.monotonic() > self._deadline:
            raise self.timed_out()

    def timed_out(self) -> JobTimeout:
        """The error of an execution whose time is over."""
        return JobTimeout(f"ran longer than its timeout of {self._timeout.total_seconds():g} s")

    @property
    def stop_requested(self) -> bool:
        return self._stopping.is_set()

    @property
    def cancel_requested(self) -> bool:
        return self._cancel

    @property
    def lease_lost(self) -> bool:
        return self._lost

    def mark_lost(self) -> None:
        """The lease is gone: the handler is told at its next report."""
        self._lost = True
        self._tell()

    def mark_canceled(self) -> None:
        self._cancel = True
        self._tell()

    def is_overdue(self, grace_s: float) -> bool:
        """True once the handler is more than ``grace_s`` seconds past its timeout."""
        return time.monotonic() > self._deadline + grace_s

    def on_change(self, told: Callable[[], None]) -> None:
        """Call ``told``, in whichever thread, whenever a flag is set from now on; at once when one is set already."""
        self._told = told
        if self._cancel or self._lost:
            told()

    def nudge(self) -> None:
        """The worker is asked to stop: whoever watches this execution looks."""
        self._tell()

    def _tell(self) -> None:
        if self._told is not None:
            self._told()

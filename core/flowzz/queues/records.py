"""What can be read of jobs, queues and workers: values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowzz.jobs.outcome import ErrorInfo
from flowzz.jobs.state import JobState


@dataclass(frozen=True, slots=True)
class Progress:
    """``percent`` is 0 to 100."""

    percent: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job as it stands in Redis. Times are aware UTC; what has not happened yet is None.

    ``attempts_made`` counts the runs that used up an attempt; ``stalled_count`` the times its worker was lost.
    ``depends_on`` holds all its parents, ended or not. ``payload`` is None when it could not be read; ``error`` then
    says why.
    """

    id: str
    name: str
    queue: str
    state: JobState
    payload: Any
    result: Any
    error: ErrorInfo | None
    attempts_made: int
    max_attempts: int
    stalled_count: int
    progress: Progress | None
    checkpoint: Any
    company_id: str | None
    worker: str | None
    note: str | None
    created_at: datetime
    enqueued_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One execution that ended, as it was recorded then; never changed later.

    ``outcome`` is ``completed``, ``failed``, ``retrying``, ``postponed``, ``released``, ``stalled``, ``parked`` or
    ``canceled``.
    """

    attempt: int
    outcome: str
    worker: str
    started_at: datetime | None
    ended_at: datetime
    error: ErrorInfo | None
    note: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    at: datetime
    attempt: int
    message: str


@dataclass(frozen=True, slots=True)
class JobPage:
    """``items`` of the ``total`` jobs in that place, from ``offset``."""

    items: list[JobRecord]
    total: int
    offset: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """Counts of one queue, read without changing anything.

    In a paused queue the waiting jobs count as ``paused`` and ``waiting`` is 0, as in Bull.
    ``oldest_waiting_s`` is the age in seconds of the job that waits longest, or None.
    ``workers`` counts the live workers that serve the queue. ``problem`` says why the queue cannot be read; its counts
    are then 0.
    """

    name: str
    waiting: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    delayed: int = 0
    paused: int = 0
    parked: int = 0
    canceled: int = 0
    deferred: int = 0
    oldest_waiting_s: float | None = None
    workers: int = 0
    is_paused: bool = False
    pause_reason: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A registered worker process.

    ``state`` is ``idle``, ``busy``, ``stopping``, or ``silent``: it is past the watchdog, see ``settings.watchdog``.
    ``heartbeat_age_s`` is how long ago its last sign of life was, in seconds, by the reader's clock.
    """

    name: str
    host: str
    pid: int
    state: str
    queues: list[str] = field(default_factory=list)
    concurrency: int = 0
    active: int = 0
    started_at: datetime | None = None
    last_heartbeat: datetime | None = None
    heartbeat_age_s: float | None = None
    completed: int = 0
    failed: int = 0

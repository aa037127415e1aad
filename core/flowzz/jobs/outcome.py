"""How one execution ended: a closed set of values that the settle script understands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An exception as it is stored: its type, its message and its traceback (never the locals)."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; ``result`` is JSON text."""

    result: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed and another follows after ``delay``."""

    delay: timedelta
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Failed:
    """The job has failed for good."""

    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Postponed:
    """The job runs again after ``delay`` and no attempt is used up; ``reason`` says why (a throttle, a snooze).

    ``hold`` is the key of a limit under which nothing else starts until then.
    """

    delay: timedelta
    reason: str
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """Back to the front of the queue at once, no attempt used up: the worker stops, or it never started."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """No plugin here registers the job: it waits, visible, until one does."""

    reason: str


@dataclass(frozen=True, slots=True)
class Canceled:
    """Somebody canceled the job and the handler stopped."""

    reason: str


Outcome = Completed | Retrying | Failed | Postponed | Released | Parked | Canceled

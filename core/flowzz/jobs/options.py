"""What a caller may say about one job beyond its payload."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowzz.errors import InvalidRequest

DEFAULT_PRIORITY = 5
JOB_ID = re.compile(r"[A-Za-z0-9_.\-]{1,100}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """Options of one enqueue.

    - ``job_id``: the id to give the job (letters, digits, ``_ - .``; at most 100). Default: a new UUID. RQ joins
      ids with ``:``, so a colon is refused.
    - ``nonce``: repeats with the same id and nonce are one job. Default: new for each call, and kept across the
      retries of that call, so a lost reply never enqueues twice.
    - ``delay``: run no earlier than this long from now (millisecond precision). Default: at once.
    - ``run_at``: run no earlier than this moment (aware). Not together with ``delay``.
    - ``attempts``: runs in all, instead of the job's own number.
    - ``priority``: 1 (first) to 10 (last), instead of the job's own.
    """

    job_id: str | None = None
    nonce: str | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    attempts: int | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        if self.job_id is not None and not JOB_ID.match(self.job_id):
            raise InvalidRequest(f"expected jobId to be 1 to 100 letters, digits, '_', '-' or '.', got {self.job_id!r}")
        if self.delay is not None and self.run_at is not None:
            raise InvalidRequest("delay and runAt exclude each other; give one of them")
        if self.delay is not None and self.delay < timedelta(0):
            raise InvalidRequest(f"expected delay to be 0 or more, got {self.delay.total_seconds():g} s")
        if self.run_at is not None and self.run_at.tzinfo is None:
            raise InvalidRequest("expected runAt to carry a time zone, got a naive time")
        if self.attempts is not None and not 1 <= self.attempts <= 100:
            raise InvalidRequest(f"expected attempts to be 1 to 100, got {self.attempts}")
        if self.priority is not None and (problem := check_priority(self.priority)):
            raise InvalidRequest(problem)


def check_priority(priority: int) -> str | None:
    """What is wrong with a priority, or None."""
    return None if 1 <= priority <= 10 else f"expected priority to be 1 (first) to 10 (last), got {priority}"

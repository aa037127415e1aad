"""What a caller may say about one job beyond its payload."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel

from flowzz.errors import InvalidRequest

DEFAULT_PRIORITY = 5
MOST_PARENTS = 100
ParentPolicy = Literal["fail", "run", "wait"]
JOB_ID = re.compile(r"[A-Za-z0-9_\-]{1,100}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """Options of one enqueue.

    - ``job_id``: the id to give the job (letters, digits, ``_ -``; at most 100). Default: a new UUID. RQ's own
      tools load no other ids.
    - ``nonce``: repeats with the same id and nonce are one job. Default: new for each call that gives an id, none
      where the id is new itself; kept across the retries of that call, so a lost reply never enqueues twice.
    - ``delay``: run no earlier than this long from now (millisecond precision). Default: at once.
    - ``run_at``: run no earlier than this moment (aware). Not together with ``delay``.
    - ``attempts``: runs in all, instead of the job's own number.
    - ``priority``: 1 (first) to 10 (last), instead of the job's own.
    - ``unique_key``: a text of your own (at most 200 characters) that says which jobs are the same, instead of the
      fields the job compares; see ``flowzz.jobs.duplicates``. A job that declares nothing is then Unique.
    - ``expires``: no run begins later than this long from now, or than this moment (aware); the job is then canceled
      with the note "expired: …". Default: the job's ``expires_after``.
    - ``depends_on``: ids of jobs (at most 100, stored already) that must complete first. Default: none.
    - ``on_parent_failure``: what a parent that failed, or was canceled, means: ``fail`` (default: this job is canceled
      with the reason), ``run`` (it counts as done) or ``wait`` (until somebody retries it and it completes). A parent
      that is removed counts as failed, also for ``wait``.
    """

    job_id: str | None = None
    nonce: str | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    attempts: int | None = None
    priority: int | None = None
    unique_key: str | None = None
    expires: timedelta | datetime | None = None
    depends_on: Sequence[str] = ()
    on_parent_failure: ParentPolicy = "fail"

    def __post_init__(self) -> None:
        if self.job_id is not None and not JOB_ID.match(self.job_id):
            raise InvalidRequest(f"expected jobId to be 1 to 100 letters, digits, '_' or '-', got {self.job_id!r}")
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
        if self.unique_key is not None and not 1 <= len(self.unique_key) <= 200:
            raise InvalidRequest(f"expected uniqueKey to have 1 to 200 characters, got {len(self.unique_key)}")
        self._check_expires()
        self._check_parents()

    def _check_parents(self) -> None:
        if isinstance(self.depends_on, str) or len(self.depends_on) > MOST_PARENTS:
            raise InvalidRequest(f"expected dependsOn to be a list of at most {MOST_PARENTS} job ids")
        if self.job_id is not None and self.job_id in self.depends_on:
            raise InvalidRequest(f"expected dependsOn to name other jobs, got the job's own id {self.job_id!r}")
        if self.on_parent_failure not in get_args(ParentPolicy):
            raise InvalidRequest(f"expected onParentFailure to be fail, run or wait, got {self.on_parent_failure!r}")

    def _check_expires(self) -> None:
        if isinstance(self.expires, datetime) and self.expires.tzinfo is None:
            raise InvalidRequest("expected expires to carry a time zone, got a naive time")
        if isinstance(self.expires, timedelta) and self.expires < timedelta(milliseconds=1):
            raise InvalidRequest(f"expected expires to be 1 ms or more, got {self.expires.total_seconds():g} s")
        starts = self.run_at if self.run_at is not None else self.delay
        for kind in (timedelta, datetime):
            if isinstance(self.expires, kind) and isinstance(starts, kind) and self.expires <= starts:  # type: ignore[operator]
                raise InvalidRequest("the job would expire before it may run: expires is not later than delay or runAt")


class Submission(NamedTuple):
    """One job of a bulk enqueue; a plain tuple ``(job, payload)`` or ``(job, payload, options)`` does as well."""

    job: str
    payload: Mapping[str, Any] | BaseModel
    options: EnqueueOptions | None = None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """``created`` is False when a job was there already: a repeat of this enqueue, or one with the same key."""

    id: str
    created: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it was enqueued: its id, and those of its members in their order."""

    id: str
    job_ids: tuple[str, ...]


def check_priority(priority: int) -> str | None:
    """What is wrong with a priority, or None."""
    return None if 1 <= priority <= 10 else f"expected priority to be 1 (first) to 10 (last), got {priority}"

"""New jobs as programs write them, in HTTP bodies and in files of one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from flowzz.errors import InvalidRequest
from flowzz.jobs.durations import parse_duration
from flowzz.jobs.options import EnqueueOptions, ParentPolicy, Submission
from flowzz.jobs.payload import WireModel


def _delay(value: object) -> object:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return parse_duration(value)
    raise ValueError("expected seconds (90) or a text such as '5m'")


def _expiry(value: object) -> object:
    """A length of time, or else a moment."""
    try:
        return _delay(value)
    except ValueError:
        if isinstance(value, str) and "T" in value:
            return datetime.fromisoformat(value)
        raise


class WireOptions(WireModel):
    """``delay`` is seconds or a text such as ``"5m"``; ``runAt`` is ISO 8601 with a time zone, ``expires`` either."""

    job_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,100}$")] | None = None
    nonce: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    delay: Annotated[timedelta, BeforeValidator(_delay)] | None = None
    run_at: AwareDatetime | None = None
    attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    priority: Annotated[int, Field(ge=1, le=10)] | None = None
    unique_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    expires: Annotated[timedelta | AwareDatetime, BeforeValidator(_expiry)] | None = None
    depends_on: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=100, default_factory=list)
    ]
    on_parent_failure: ParentPolicy = "fail"

    @model_validator(mode="after")
    def _one_time(self) -> WireOptions:
        if self.delay is not None and self.run_at is not None:
            raise ValueError("delay and runAt exclude each other; give one of them")
        return self

    def options(self) -> EnqueueOptions:
        """Raises InvalidRequest for values that exclude each other."""
        return EnqueueOptions(**{name: getattr(self, name) for name in type(self).model_fields})


class WireJob(WireModel):
    """``payload`` is checked when it is submitted, by the job's own model."""

    job: Annotated[str, Field(max_length=200)]
    payload: dict[str, Any] = Field(default_factory=dict)
    options: WireOptions = WireOptions()

    def submission(self) -> Submission:
        """Raises InvalidRequest for options that exclude each other."""
        return Submission(self.job, self.payload, self.options.options())


def submissions(jobs: Sequence[WireJob]) -> list[Submission]:
    """Each of ``jobs``; an InvalidRequest says by its place which one it is about."""
    return [submission_at(f"jobs.{place}", job) for place, job in enumerate(jobs)]


def submission_at(part: str, job: WireJob) -> Submission:
    """``job``, which stands at ``part`` of a request; an InvalidRequest names it."""
    try:
        return job.submission()
    except InvalidRequest as error:
        raise error.about(part) from None

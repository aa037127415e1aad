"""Limits a job is under: how many in a time, how many at a time.

A limit is checked when a job is claimed. A job over it keeps its place and waits, costs no attempt, and stops only the
jobs under the same limit.

    RateLimit("whatsapp.number", 80, per=timedelta(seconds=1), by="phone_number_id")
    Concurrency("facebook.account", 1, by="ad_account_id")

A whole queue is limited by ``flowzz.plugins.contributions.QueueLimits``. An operator may put another rule over any of
these while everything runs (``flowzz limits``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from flowzz.jobs.durations import parse_duration


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts in any window of ``per``."""

    count: int
    per: timedelta

    @property
    def period_ms(self) -> int:
        """``per`` in milliseconds, at least 1."""
        return max(1, round(self.per.total_seconds() * 1000))

    @property
    def problem(self) -> str | None:
        """What is wrong with it, or None."""
        if self.count < 1:
            return f"expected a count of 1 or more, got {self.count}"
        return f"expected per to be 1 ms or more, got {self.per}" if self.per < timedelta(milliseconds=1) else None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``count`` starts in any window of ``per``, for each value of the payload's field or property ``by``.

    ``name`` is shared: jobs that name the same limit share it, in all queues; it holds no ``:``, which stands between
    name and value. Without ``by`` it is one limit for all.
    """

    name: str
    count: int
    per: timedelta
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most ``count`` at a time, for each value of the payload's field or property ``by``.

    The slots of a lost worker return.
    """

    name: str
    count: int
    by: str | None = None


Limit = RateLimit | Concurrency


def limit_key(limit: Limit, payload: BaseModel) -> str:
    """The name under which this payload counts, for example ``facebook.account:act_7``."""
    if limit.by is None:
        return limit.name
    return f"{limit.name}:{getattr(payload, limit.by)}"


def check_limits(limits: tuple[Limit, ...], model: type[BaseModel]) -> str | None:
    """What is wrong with a job's limits, or None."""
    for limit in limits:
        if not limit.name or ":" in limit.name:
            return f"limit {limit.name!r}: expected a name without ':'"
        per = limit.per if isinstance(limit, RateLimit) else timedelta(1)
        if problem := Rate(limit.count, per).problem:
            return f"limit {limit.name!r}: {problem}"
        if limit.by is not None and not _has(model, limit.by):
            return f"limit {limit.name!r}: the payload has no field {limit.by!r}"
    return None


def _has(model: type[BaseModel], name: str) -> bool:
    return name in model.model_fields or isinstance(getattr(model, name, None), property)


def parse_rate(text: str) -> Rate:
    """``10/60s`` or ``80/1m``: how many in any window of how long. Raises ValueError that says what was expected."""
    count, slash, per = text.partition("/")
    wanted = f"expected a rate such as 10/60s, got {text!r}"
    if not slash or not count.strip().isdigit():
        raise ValueError(wanted)
    try:
        rate = Rate(int(count), parse_duration(per))
    except ValueError:
        raise ValueError(wanted) from None
    if rate.problem:
        raise ValueError(f"{rate.problem} in {text!r}")
    return rate

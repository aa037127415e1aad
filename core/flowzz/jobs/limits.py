"""Limits a job is under: how many in a time, how many at a time.

A limit is checked when a job is claimed. A job over it keeps its place and waits, costs no attempt, and stops only the
jobs under the same limit.

    RateLimit("whatsapp.number", 80, per=timedelta(seconds=1), by="phone_number_id")
    Concurrency("facebook.account", 1, by="ad_account_id")
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``count`` starts in any window of ``per``, for each value of the payload's field ``by``.

    ``name`` is shared: jobs that name the same limit share it, in all queues. Without ``by`` it is one limit for all.
    """

    name: str
    count: int
    per: timedelta
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most ``count`` at a time, for each value of the payload's field ``by``; the slots of a lost worker return."""

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
        if limit.count < 1:
            return f"limit {limit.name!r}: expected a count of 1 or more, got {limit.count}"
        if isinstance(limit, RateLimit) and limit.per < timedelta(milliseconds=1):
            return f"limit {limit.name!r}: expected per to be 1 ms or more, got {limit.per}"
        if limit.by is not None and limit.by not in model.model_fields:
            return f"limit {limit.name!r}: the payload has no field {limit.by!r}"
    return None

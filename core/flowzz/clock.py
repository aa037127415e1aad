"""The one place that asks what time it is, so that tests can say it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def machine_s() -> float:
    """This machine's clock, Unix seconds; to be compared with that of Redis, also where tests say what time it is."""
    return time.time()


def to_rq(moment: datetime) -> str:
    """``moment`` as RQ writes it into a job hash (``rq.utils.utcformat``)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_rq(text: str) -> datetime:
    """The moment that RQ wrote as ``text``; ValueError when it is not one."""
    pattern = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, pattern).replace(tzinfo=UTC)


def from_epoch_ms(milliseconds: float) -> datetime:
    """The moment ``milliseconds`` after the Unix epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

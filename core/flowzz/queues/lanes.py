"""Lanes: waiting jobs that are alike. When the head of a lane may not run, none of it may, and nothing is scanned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel

from flowzz.jobs.limits import Limit, Rate, RateLimit, limit_key
from flowzz.jobs.options import DEFAULT_PRIORITY

WHOLE = "queue/"
"""Begins the limit keys of whole queues."""
NO_RULE = "none"
"""In place of a rule: nothing is limited."""
SAFE = ":.@+-"
"""What a company or a limit may contain unescaped; `|`, `,` and `=` separate the parts of a lane."""


@dataclass(frozen=True, slots=True)
class LimitKey:
    """One limit a job is under: at most ``count`` admissions in ``period_ms``, or ``count`` at a time without one.

    ``name`` is shared by all jobs under the same limit, for example ``company:loja-1``.
    """

    name: str
    count: int
    period_ms: int | None = None

    @property
    def key(self) -> str:
        """As Redis knows it; ``r:`` is a rate, ``c:`` a concurrency."""
        return ("c:" if self.period_ms is None else "r:") + quote(self.name, safe=SAFE)

    @classmethod
    def of(cls, limit: Limit, name: str) -> LimitKey:
        """The limit as it counts under ``name``: its own, or that with a value."""
        return cls(name, limit.count, Rate(limit.count, limit.per).period_ms if isinstance(limit, RateLimit) else None)

    @property
    def rule(self) -> str:
        return str(self.count) if self.period_ms is None else f"{self.count}/{self.period_ms}"


@dataclass(frozen=True, slots=True)
class Lane:
    """Priority 1 (first) to 10 (last); the company that takes turns; the job's name; the limits it is under."""

    priority: int = DEFAULT_PRIORITY
    company: str = ""
    job: str = ""
    limits: tuple[LimitKey, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.priority}|{_quoted(self.company)}|{self.job}|{','.join(limit.key for limit in self.limits)}"

    @property
    def rules(self) -> str:
        """``key=rule,…`` of the limits."""
        return ",".join(f"{limit.key}={limit.rule}" for limit in self.limits)


@lru_cache(maxsize=10_000)
def _quoted(company: str) -> str:
    return quote(company, safe=SAFE)


def key_of(limit: Limit, payload: BaseModel) -> LimitKey:
    """The limit as it counts for one payload."""
    return LimitKey.of(limit, limit_key(limit, payload))


def queue_key(queue: str, kind: Literal["rate", "concurrency"]) -> str:
    """The limit key of a whole queue; no limit of jobs is called so, since ``/`` is quoted there."""
    return f"{kind[0]}:{WHOLE}{queue}"


def queue_of(key: str) -> str | None:
    """The queue that a limit key is about as a whole, or None."""
    return key[2:].removeprefix(WHOLE) if key[2:].startswith(WHOLE) else None

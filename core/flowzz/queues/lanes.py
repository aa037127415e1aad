"""Lanes: waiting jobs that are alike. When the head of a lane may not run, none of it may, and nothing is scanned."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel

from flowzz.jobs.limits import Limit, RateLimit, limit_key
from flowzz.jobs.options import DEFAULT_PRIORITY

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
        company = quote(self.company, safe=SAFE)
        return f"{self.priority}|{company}|{self.job}|{','.join(limit.key for limit in self.limits)}"

    @property
    def rules(self) -> str:
        """``key=rule,…`` of the limits."""
        return ",".join(f"{limit.key}={limit.rule}" for limit in self.limits)


def key_of(limit: Limit, payload: BaseModel) -> LimitKey:
    """The limit as it counts for one payload."""
    period = max(1, round(limit.per.total_seconds() * 1000)) if isinstance(limit, RateLimit) else None
    return LimitKey(limit_key(limit, payload), limit.count, period)

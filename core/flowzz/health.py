"""The public health report: its exact shape, and the rule that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict


class Stats(TypedDict):
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    paused: int


class QueueHealth(TypedDict):
    name: str
    healthy: bool
    stats: Stats


class RedisHealth(TypedDict):
    connected: bool


class Summary(TypedDict):
    total: int
    healthy: int
    unhealthy: int


class HealthReport(TypedDict):
    """What ``GET /health/queues`` answers, key for key."""

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: str
    redis: RedisHealth
    queues: list[QueueHealth]
    summary: Summary


HTTP_STATUS = {"healthy": 200, "degraded": 207, "unhealthy": 503}


def report(at: datetime, *, redis_connected: bool, queues: Sequence[QueueHealth]) -> HealthReport:
    """``unhealthy`` without Redis or with every queue unhealthy, ``degraded`` with some, else ``healthy``."""
    bad = sum(not queue["healthy"] for queue in queues)
    if not redis_connected or (queues and bad == len(queues)):
        status: Literal["healthy", "degraded", "unhealthy"] = "unhealthy"
    else:
        status = "degraded" if bad else "healthy"
    return {
        "status": status,
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "redis": {"connected": redis_connected},
        "queues": list(queues),
        "summary": {"total": len(queues), "healthy": len(queues) - bad, "unhealthy": bad},
    }

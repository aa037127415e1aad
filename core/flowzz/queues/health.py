"""Whether a queue is healthy, as its counts tell."""

from __future__ import annotations

from flowzz.health import QueueHealth
from flowzz.queues.records import QueueStats


def unreachable(name: str) -> QueueHealth:
    """What is said of a queue that cannot be asked about."""
    return _queue_health(QueueStats(name=name), healthy=False)


def health_of(queue: QueueStats, grace: float) -> QueueHealth:
    """Unhealthy when a key cannot be read, or when a job has waited ``grace`` seconds and nobody serves the queue."""
    starved = (queue.oldest_waiting_s or 0) > grace and queue.workers == 0 and not queue.is_paused
    return _queue_health(queue, healthy=queue.problem is None and not starved)


def _queue_health(queue: QueueStats, *, healthy: bool) -> QueueHealth:
    return {
        "name": queue.name,
        "healthy": healthy,
        "stats": {
            "waiting": queue.waiting,
            "active": queue.active,
            "completed": queue.completed,
            "failed": queue.failed,
            "delayed": queue.delayed,
            "paused": queue.paused,
        },
    }

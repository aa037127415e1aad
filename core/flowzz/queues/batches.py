"""Batches as they can be read: how many members are pending or ended how."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowzz.clock import from_epoch_ms
from flowzz.queues import keys
from flowzz.queues.connection import redis_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """Counts of a batch's members; ``skipped`` are those for which another job stood already (duplicates key).

    ``finished_at`` is when none was pending for the first time; ``callback_id`` the job that was enqueued then. A
    member that is replayed after that is pending again, and the callback is not repeated.
    """

    id: str
    total: int
    pending: int
    completed: int
    failed: int
    canceled: int
    removed: int
    skipped: int
    created_at: datetime
    finished_at: datetime | None
    callback_id: str | None


def read_batch(client: Any, batch_id: str) -> BatchRecord | None:
    """None when there is none, or none any more (7 days after its end). Raises QueueUnavailable."""
    with redis_errors():
        raw = client.hgetall(keys.BATCH(batch_id))
    if not raw:
        return None
    text = {name.decode(): value.decode(errors="replace") for name, value in raw.items()}
    counts = ("total", "pending", "completed", "failed", "canceled", "removed", "skipped")
    return BatchRecord(
        id=batch_id,
        created_at=from_epoch_ms(float(text["created_ms"])),
        finished_at=from_epoch_ms(float(text["finished_ms"])) if "finished_ms" in text else None,
        callback_id=text.get("callback_id"),
        **{name: int(text.get(name, "0")) for name in counts},
    )

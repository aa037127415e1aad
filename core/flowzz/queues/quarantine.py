"""What was found in a queue and is no readable job: taken out, so that the next one runs, and kept to be looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from flowzz.clock import from_epoch_ms
from flowzz.queues.engine import Queues


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    id: str
    queue: str
    reason: str
    at: datetime


def quarantine(queues: Queues) -> list[Quarantined]:
    """All of them, the latest first. Raises QueueUnavailable."""
    entries = {job_id: json.loads(entry) for job_id, entry in queues.quarantined().items()}
    found = [
        Quarantined(id=job_id, queue=entry["queue"], reason=entry["reason"], at=from_epoch_ms(entry["at_ms"]))
        for job_id, entry in entries.items()
    ]
    return sorted(found, key=lambda one: (one.at, one.id), reverse=True)

"""Notices that Redis came back empty, or as an older copy of itself: after a lost disk, FLUSHALL, a restored backup, a
failover to a replica that lagged behind.

Redis cannot tell by itself; the processes that talked to it before can. ``flowzz:epoch`` names the data, and each
worker and scheduler counts its own signs of life in Redis and in its memory. A loss between two signs of life of every
process goes unnoticed: it is shorter than a heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from flowzz import clock
from flowzz.clock import from_epoch_ms
from flowzz.queues.connection import redis_errors
from flowzz.queues.keys import EPOCH
from flowzz.queues.transitions import Transitions

log = structlog.get_logger("flowzz.epoch")

SHOWN_FOR = timedelta(days=1)
"""Health speaks of a loss for so long."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """How the data that Redis has began: ``first``, ``empty`` or ``older``; ``as_of`` is the age of an older copy."""

    id: str
    how: str
    since: datetime
    as_of: datetime | None

    @property
    def loss(self) -> str | None:
        """What was lost, for a person; None of the first epoch."""
        at = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        match self.how:
            case "empty":
                return f"Redis came back empty at {at}: jobs, history and run-time edits from before are gone"
            case "older":
                newest = f" from {self.as_of:%Y-%m-%d %H:%M:%S} UTC" if self.as_of else ""
                return (
                    f"Redis came back as an older copy{newest} at {at}: what happened in between is forgotten, "
                    "jobs that ended then may run again"
                )
        return None


class Witness:
    """What one process remembers of Redis's data. Used by one thread at a time."""

    def __init__(self, transitions: Transitions, who: str) -> None:
        self._transitions = transitions
        self._who = who
        self._epoch: Epoch | None = None
        self._answered = 0

    def look(self) -> bool:
        """Give a sign of life; True when data was lost since the last one. Raises QueueUnavailable."""
        known = self._epoch
        since_ms = round(known.since.timestamp() * 1000) if known else 0
        raw = self._transitions.testify(self._who, known.id if known else "", since_ms, self._answered)
        self._answered += 1
        self._epoch = _epoch(*raw)
        if known is None or self._epoch.id == known.id:
            return False
        log.error("redis lost data", loss=self._epoch.loss)
        return True


def data_loss(client: Any) -> str | None:
    """The loss of the last day, for a person; None when none was noticed."""
    with redis_errors():
        raw = client.hmget(EPOCH(), "id", "how", "since_ms", "as_of_ms")
    if raw[0] is None:
        return None
    epoch = _epoch(*raw)
    return epoch.loss if epoch.since > clock.now() - SHOWN_FOR else None


def _epoch(name: bytes, how: bytes, since_ms: bytes, as_of_ms: bytes | None) -> Epoch:
    as_of = from_epoch_ms(int(as_of_ms)) if as_of_ms else None
    return Epoch(name.decode(), how.decode(), from_epoch_ms(int(since_ms)), as_of)

"""What Redis keeps of schedules: the newest claimed tick, the run-time edit, the last ticks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from flowzz.clock import from_epoch_ms
from flowzz.queues import keys
from flowzz.queues.connection import redis_errors


class FireOutcome(IntEnum):
    """What ``fire`` did; the numbers are the script's."""

    FIRED = 1
    CLAIMED_BEFORE = 0
    EDITED = -1
    OVERLAPPED = -2


@dataclass(frozen=True, slots=True)
class FireReply:
    """``jobs`` counts those that were stored."""

    outcome: FireOutcome
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseEdit:
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEdit:
    """Another cron line or time zone; None leaves the definition's. ``was_…`` is the definition when it was edited."""

    cron: str | None
    timezone: str | None
    was_cron: str
    was_timezone: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """``revision`` counts the edits; a tick is fired only by the revision it was computed from."""

    last_tick_ms: int | None = None
    revision: int = 0
    paused: PauseEdit | None = None
    line: LineEdit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TickRecord:
    """``how``: ``fired``, ``missed`` (policy skips it), ``overlapped`` (earlier jobs were open), ``run`` (by hand)."""

    tick: datetime
    fired_at: datetime
    jobs: int
    how: str
    by: str


def read_states(client: Any, names: Sequence[str]) -> dict[str, ScheduleState]:
    """The state of each schedule, in one round trip; one that Redis has never seen is empty."""
    with redis_errors():
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hmget(keys.SCHEDULE(name), "last_tick_ms", "revision").hgetall(keys.EDIT(name))
        answers = pipeline.execute()
    return {name: _state(answers[2 * i], answers[2 * i + 1]) for i, name in enumerate(names)}


def read_ticks(client: Any, name: str, limit: int) -> list[TickRecord]:
    """The newest ``limit`` ticks (of the last 100 that are kept), newest first."""
    with redis_errors():
        found = client.lrange(keys.TICKS(name), 0, limit - 1)
    return [tick for raw in found if (tick := _tick(raw)) is not None]


def _tick(raw: bytes) -> TickRecord | None:
    """None for what somebody else put there."""
    try:
        entry = json.loads(raw)
        return TickRecord(
            tick=from_epoch_ms(entry["tick_ms"]),
            fired_at=from_epoch_ms(entry["fired_ms"]),
            jobs=entry["jobs"],
            how=entry["how"],
            by=entry["by"],
        )
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return None


def _state(known: Sequence[bytes | None], raw: dict[bytes, bytes]) -> ScheduleState:
    """Whatever others wrote there, a scheduler goes on: what is no number counts as nothing."""
    edit = {field.decode(errors="replace"): value.decode(errors="replace") for field, value in raw.items()}
    paused = line = None
    if "pause_reason" in edit:
        at = from_epoch_ms(_whole(raw.get(b"paused_at_ms")) or 0)
        paused = PauseEdit(reason=edit["pause_reason"], by=edit.get("paused_by", ""), at=at)
    if "set_by" in edit:
        line = LineEdit(
            cron=edit.get("cron"),
            timezone=edit.get("timezone"),
            was_cron=edit.get("was_cron", ""),
            was_timezone=edit.get("was_timezone", ""),
            by=edit["set_by"],
            at=from_epoch_ms(_whole(raw.get(b"set_at_ms")) or 0),
        )
    return ScheduleState(last_tick_ms=_whole(known[0]), revision=_whole(known[1]) or 0, paused=paused, line=line)


def _whole(raw: bytes | None) -> int | None:
    return int(raw) if raw and raw.isdigit() and len(raw) < 15 else None

"""How far the limits are used. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from flowzz.clock import from_epoch_ms
from flowzz.queues import keys
from flowzz.queues.connection import redis_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStatus:
    """One limit as it stands.

    ``kind`` is ``rate`` (``count`` starts in any ``period_s`` seconds) or ``concurrency`` (``count`` at a time, no
    period). ``used`` counts the starts in the window that ends now, or the executions that hold a slot. ``free_at`` is
    when a rate that is used up admits the next start. ``held_until`` is set while an upstream asked to wait.
    ``waiting_lanes`` counts the lanes (alike jobs of one queue) that this limit stops.
    """

    name: str
    kind: str
    count: int | None
    period_s: float | None
    used: int
    free_at: datetime | None
    held_until: datetime | None
    waiting_lanes: int


@dataclass(frozen=True, slots=True)
class LimitPage:
    """``items`` of the ``total`` limits: those that stop something first, then the most used."""

    items: list[LimitStatus]
    total: int
    offset: int
    limit: int


def read_limits(client: Any, offset: int, limit: int) -> LimitPage:
    """Every limit that a job was ever under. Its cost grows with their number; meant for people."""
    with redis_errors():
        now_s, micros = client.time()
        now = now_s * 1000 + micros / 1000
        rules = {key.decode(): rule.decode() for key, rule in client.hgetall(keys.LIMITS()).items()}
        held = {key.decode(): until for key, until in client.zrange(keys.HOLDS(), 0, -1, withscores=True)}
        stopped = _stopped(client)
        names = sorted({*rules, *(key for key, until in held.items() if until > now)})
        uses = _uses(client, names)
    found = [
        _status(key, rules.get(key), use, held.get(key), stopped[key], now)
        for key, use in zip(names, uses, strict=True)
    ]
    found.sort(key=lambda status: (-status.waiting_lanes, status.held_until is None, -status.used, status.name))
    return LimitPage(found[offset : offset + limit], len(found), offset, limit)


def _stopped(client: Any) -> Counter[str]:
    """Limit key → lanes it stops, in all queues."""
    queues = [member.decode().removeprefix(keys.QUEUE.prefix) for member in client.smembers(keys.QUEUES())]
    pipeline = client.pipeline(transaction=False)
    for queue in queues:
        pipeline.hvals(keys.BLOCKS(queue))
    blocks = [block.decode().partition(" ") for values in pipeline.execute() for block in values]
    return Counter(key for kind, _, key in blocks if kind != "paused")


def _uses(client: Any, names: Sequence[str]) -> list[Any]:
    """Of each limit the moments of its admissions, or its holders."""
    pipeline = client.pipeline(transaction=False)
    for key in names:
        if key.startswith("r:"):
            pipeline.lrange(keys.RATE(key), 0, -1)
        else:
            pipeline.smembers(keys.RUNNING(key))
    answers: list[Any] = pipeline.execute()
    return answers


def _status(key: str, rule: str | None, use: Any, held: float | None, stopped: int, now: float) -> LimitStatus:
    count, _, period = rule.partition("/") if rule else ("", "", "")
    used, free_at = len(use), None
    if period:
        since = now - int(period)
        moments = [float(moment) for moment in use if float(moment) > since]
        used = len(moments)
        if used >= int(count):
            free_at = from_epoch_ms(moments[-int(count)] + int(period))
    return LimitStatus(
        name=unquote(key[2:]),
        kind="rate" if key.startswith("r:") else "concurrency",
        count=int(count) if count else None,
        period_s=timedelta(milliseconds=int(period)).total_seconds() if period else None,
        used=used,
        free_at=free_at,
        held_until=from_epoch_ms(held) if held is not None and held > now else None,
        waiting_lanes=stopped,
    )

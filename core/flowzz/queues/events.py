"""The event stream: every transition, as the script that made it wrote it down.

``flowzz:events`` has one entry a script call, with one field ``events``: lines ``name|queue|subject|detail``. Queue and
subject never hold ``|`` or a line feed (they are written ``%7C`` and ``%0A``, and ``%`` as ``%25``); a line feed in the
detail becomes a space. About the last 10,000 entries are kept. An event's id is its entry's id and its place in it,
from 0: ``1764000000000-0.2``; ids grow, so whoever remembers the last one goes on from there and misses nothing that is
kept. Who comes too late, and may have missed what is not kept any more, is told so: there is a *gap*.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from redis.exceptions import RedisError

from flowzz.clock import from_epoch_ms
from flowzz.errors import InvalidRequest
from flowzz.queues import keys
from flowzz.queues.connection import BLOCK_AT_MOST_S, redis_errors

NAMES = {
    "waiting": "a job waits for a worker; detail: why, unless it is new",
    "delayed": "a job was enqueued for later",
    "deferred": "a job waits for its parents",
    "debounced": "a job that is still delayed took over a newer payload and was put off",
    "active": "a worker claimed a job; detail: the worker",
    "completed": "an execution ended well; detail: the attempt",
    "retrying": "it failed and runs again later; detail: the attempt",
    "failed": "it failed for good; detail: the attempt, or `stalled`",
    "postponed": "it runs again later and used no attempt; detail: the attempt",
    "released": "its worker gave it back; detail: the attempt",
    "parked": "its plugin is missing; detail: the attempt",
    "canceled": "a job was canceled; detail: the attempt when it ran, or the parent that ended badly",
    "cancel_requested": "a running job was told to stop",
    "expired": "a job was not started in time",
    "stalled": "a worker was lost, the job waits again; detail: the execution",
    "late_commit_rejected": "an execution that had lost its lease wanted to settle; detail: the execution",
    "batch_finished": "every job of a batch has ended; subject: the batch; detail: how many did not complete",
    "removed": "a job was deleted by a person",
    "pruned": "old jobs of a queue were deleted; detail: how many",
    "duplicate": "an id was in the queue while its job was elsewhere; detail: where",
    "quarantined": "what was queued is no readable job; detail: why",
    "set_aside": "a key held the wrong type, or a field what nobody can read; subject: the key; detail: what was found",
    "astray": "a job stood in no place and was put back; detail: where it said to be",
    "data_lost": "Redis came back without what it had; subject: `empty` or `older`; detail: age of the copy, Unix ms",
    "tick": "a schedule's tick was fired; subject: the schedule; detail: the tick, Unix ms",
    "tick_missed": "a tick was skipped because it came too late",
    "tick_overlapped": "a tick was skipped because jobs of an earlier one were open",
    "schedule_run": "a schedule was run by hand; detail: by whom",
    "schedule_edited": "a schedule was paused, resumed, changed or reverted; detail: what, by whom",
    "limit_edited": "a limit was set or reverted; subject: `queue:…` or the limit's name; detail: what, by whom",
    "paused": "a queue, job type or company was paused; subject: `queue:…`, `job:…`, `company:…`; detail: the reason",
    "resumed": "it was resumed",
}
"""Every event that the scripts write, with its meaning; the subject is a job's id unless it says otherwise."""

ID = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?(?:\.(\d{1,6}))?\Z")
MOST = 1000
BEGINNING = "0"
BEGINNING_ENTRY = "0-0"
GAP = "gap"
"""Name of the Event that ``follow`` puts where events are no longer kept: its id is the reader's, its subject the id of
the oldest that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One transition. ``queue`` is None for what is not about a queue."""

    id: str
    at: datetime
    name: str
    queue: str | None
    subject: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """``gap`` is true when events between the reader's last one and the first of ``items`` are no longer kept."""

    items: list[Event]
    gap: bool


def read_events(client: Any, since: str, limit: int) -> EventPage:
    """At most ``limit`` events after the id ``since``, oldest first. Raises InvalidRequest for what is no id."""
    entry, place = _position(since)
    found, gap = _read(client, entry, limit + 1)
    return EventPage(_after(found, entry, place)[:limit], gap)


def read_last_events(client: Any, limit: int) -> EventPage:
    """The newest ``limit`` events, oldest first."""
    with redis_errors():
        found = client.xrevrange(keys.EVENTS(), count=limit)
    return EventPage([event for entry in reversed(found) for event in _events(*entry)][-limit:], gap=False)


def _read(client: Any, entry: str, count: int) -> tuple[list[Any], bool]:
    """The entries from ``entry`` on, and whether some after it were trimmed away. ``0-0`` asks for what is kept.

    The entry itself is kept unless it was trimmed, so a reader whose last one is gone may have missed its successors.
    One case is told although nothing is missing: when exactly the reader's entry was the last that was trimmed.
    """
    with redis_errors():
        pipeline = client.pipeline(transaction=True)
        pipeline.xrange(keys.EVENTS(), min=entry, count=count)
        pipeline.xinfo_stream(keys.EVENTS())
        found, stream = pipeline.execute(raise_on_error=False)
        for answer in (found, stream):
            if isinstance(answer, RedisError) and "no such key" not in str(answer):
                raise answer
    if entry == BEGINNING_ENTRY or isinstance(stream, RedisError):
        return found, False
    first = stream["first-entry"]
    is_behind = first is not None and _order(entry) < _order(first[0].decode())
    return found, is_behind and stream["entries-added"] > stream["length"]


def _order(entry: str) -> tuple[int, int]:
    ms, _, place = entry.partition("-")
    return int(ms), int(place)


def follow(client: Any, since: str, block: timedelta) -> Iterator[Event]:
    """The events after ``since``, then those that come, until none comes for ``block``; a GAP where some are gone."""
    entry, place = _position(since)
    deadline = time.monotonic() + block.total_seconds()
    while True:
        found, gap = _read(client, entry, MOST)
        events = _after(found, entry, place)
        if gap and events:
            yield Event(id=since, at=events[0].at, name=GAP, queue=None, subject=events[0].id, detail=None)
        yield from events
        if found:
            entry, place = found[-1][0].decode(), len(_events(*found[-1])) - 1
            since = f"{entry}.{place}"
        if events:
            deadline = time.monotonic() + block.total_seconds()
        elif (left := deadline - time.monotonic()) <= 0:
            return
        else:
            wait = max(1, int(min(left, BLOCK_AT_MOST_S) * 1000))
            with redis_errors():
                client.xread({keys.EVENTS(): entry}, count=1, block=wait)


def _position(since: str) -> tuple[str, int]:
    """Entry and place; without a place, all of that entry has been seen."""
    match = ID.match(since)
    if match is None:
        raise InvalidRequest(f"expected an event's id such as 1764000000000-0.2, or 0, got {since!r}")
    return f"{match[1]}-{match[2] or 0}", MOST**2 if match[3] is None else int(match[3])


def _after(found: list[Any], entry: str, place: int) -> list[Event]:
    events = []
    for entry_id, fields in found:
        seen = place + 1 if entry_id.decode() == entry else 0
        events += _events(entry_id, fields)[seen:]
    return events


def _events(entry_id: bytes, fields: dict[bytes, bytes]) -> list[Event]:
    base = entry_id.decode()
    at = from_epoch_ms(int(base.partition("-")[0]))
    events = []
    for place, line in enumerate(fields.get(b"events", b"").decode(errors="replace").split("\n")):
        name, queue, subject, detail = [*line.split("|", 3), "", "", ""][:4]
        events.append(
            Event(
                id=f"{base}.{place}",
                at=at,
                name=name,
                queue=unquote(queue) or None,
                subject=unquote(subject),
                detail=detail or None,
            )
        )
    return events


def markdown_table() -> str:
    """The events as the documentation shows them."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in NAMES.items()]
    return "\n".join(["| event | says |", "|---|---|", *rows])

"""How far the limits are used. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from flowzz.clock import from_epoch_ms
from flowzz.queues import keys
from flowzz.queues.connection import redis_errors
from flowzz.queues.lanes import NO_RULE, queue_key, queue_of

EDIT = "edit "
ALL = "all "


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitEdit:
    """A rule put over the definition at run time; ``rule`` is None where the limit was lifted.

    ``was`` is the definition's when it was edited. ``name`` is what was edited: the limit itself, or all its values.
    """

    rule: str | None
    was: str | None
    by: str
    at: datetime
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStatus:
    """One limit as it stands.

    ``kind`` is ``rate`` (``count`` starts in any ``period_s`` seconds) or ``concurrency`` (``count`` at a time, no
    period). ``used`` counts the starts in the window that ends now, or the executions that hold a slot. ``free_at`` is
    when a rate that is used up admits the next start. ``held_until`` is set while an upstream asked to wait.
    ``waiting_lanes`` counts the lanes (alike jobs of one queue) that this limit stops; of the limit of a whole
    queue it is 1 while that is used up and jobs wait.

    ``queue`` is set for the limit of a whole queue. ``count`` and ``period_s`` are what counts: the run-time edit
    ``edited`` if there is one, else the definition ``defined`` (``10/60s``, ``4``, None for no limit).
    """

    name: str
    queue: str | None
    kind: str
    count: int | None
    period_s: float | None
    used: int
    free_at: datetime | None
    held_until: datetime | None
    waiting_lanes: int
    defined: str | None
    edited: LimitEdit | None

    @property
    def is_used_up(self) -> bool:
        """True when it admits nothing now."""
        return self.count is not None and self.used >= self.count


@dataclass(frozen=True, slots=True)
class LimitPage:
    """``items`` of the ``total`` limits: those that stop something first, then the most used."""

    items: list[LimitStatus]
    total: int
    offset: int
    limit: int


def read_limits(client: Any, offset: int, limit: int) -> LimitPage:
    """Every limit that a job was under lately. Its cost grows with their number; meant for people."""
    with redis_errors():
        now_s, micros = client.time()
        now = now_s * 1000 + micros / 1000
        rules = read_rules(client)
        held = {key.decode(): until for key, until in client.zrange(keys.HOLDS(), 0, -1, withscores=True)}
        names = sorted({*rules.defined, *rules.edits, *(key for key, until in held.items() if until > now)})
        uses = _uses(client, names)
        found = [_status(key, rules, use, held.get(key), now) for key, use in zip(names, uses, strict=True)]
        stopped = _stopped(client, [status.queue for status in found if status.queue and status.is_used_up])
    found = [replace(status, waiting_lanes=stopped[key]) for key, status in zip(names, found, strict=True)]
    found.sort(key=lambda status: (-status.waiting_lanes, status.held_until is None, -status.used, status.name))
    return LimitPage(found[offset : offset + limit], len(found), offset, limit)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is defined and what lies over it, by limit key, as Redis has it; ``names`` has the rule of all values."""

    defined: Mapping[str, str]
    edits: Mapping[str, str]
    names: Mapping[str, str]

    def edit(self, key: str) -> tuple[str, str] | None:
        """The edit that counts, with the name it was made for: the key's own, else that of all values of its name."""
        return next(((one, self.edits[one]) for one in (key, _name(key)) if one in self.edits), None)

    def definition(self, key: str) -> str | None:
        """The definition's rule; of a value that was forgotten, that of its name."""
        return self.defined.get(key) or self.names.get(_name(key))

    def counts(self, key: str) -> tuple[int | None, int | None]:
        """How many, and in how many ms; None when there is no limit."""
        edit = self.edit(key)
        rule = edit[1].partition(" ")[0] if edit else self.definition(key) or NO_RULE
        count, _, period = rule.removeprefix(NO_RULE).partition("/")
        return int(count) if count else None, int(period) if period else None


def read_rules(client: Any) -> Rules:
    fields = {field.decode(): rule.decode() for field, rule in client.hgetall(keys.LIMITS()).items()}
    return Rules(
        {field: rule for field, rule in fields.items() if not field.startswith((EDIT, ALL))},
        {field.removeprefix(EDIT): rule for field, rule in fields.items() if field.startswith(EDIT)},
        {field.removeprefix(ALL): rule for field, rule in fields.items() if field.startswith(ALL)},
    )


def _name(key: str) -> str:
    """The key without its value: ``r:whatsapp.pair`` of ``r:whatsapp.pair:7``."""
    return ":".join(key.split(":", 2)[:2])


def queue_limits(client: Any, queue: str) -> tuple[tuple[int, int] | None, int | None]:
    """What counts of a queue now: (count, period in ms) of its rate and its concurrency, or None."""
    rate, _, most = (client.hget(keys.LIMITED(), queue) or b"").decode().partition("|")
    count, _, period = rate.partition("/")
    return (int(count), int(period)) if rate else None, int(most) if most else None


def _stopped(client: Any, used_up: Sequence[str]) -> Counter[str]:
    """Limit key → lanes it stops, in all queues; of a queue that is used up, 1 if a job waits there."""
    queues = [member.decode().removeprefix(keys.QUEUE.prefix) for member in client.smembers(keys.QUEUES())]
    pipeline = client.pipeline(transaction=False)
    for queue in queues:
        pipeline.hvals(keys.BLOCKS(queue))
    for queue in used_up:
        pipeline.exists(keys.QUEUE(queue))
    answers = pipeline.execute()
    blocks = [block.decode().partition(" ") for values in answers[: len(queues)] for block in values]
    stopped = Counter(key for kind, _, key in blocks if kind != "paused")
    for queue, waits in zip(used_up, answers[len(queues) :], strict=True):
        stopped.update({queue_key(queue, kind): waits for kind in ("rate", "concurrency")})
    return stopped


def _uses(client: Any, names: Sequence[str]) -> list[Any]:
    """Of each limit the moments of its admissions, or its holders."""
    pipeline = client.pipeline(transaction=False)
    for key in names:
        if key.startswith("r:"):
            pipeline.lrange(keys.RATE(key), 0, -1)
        elif queue := queue_of(key):
            pipeline.zrange(keys.WIP(queue), 0, -1)
        else:
            pipeline.smembers(keys.RUNNING(key))
    answers: list[Any] = pipeline.execute()
    return answers


def free_at(moments: Sequence[bytes], count: int, period_ms: int, now: float) -> datetime | None:
    """When a rate admits the next start, or None when it does now."""
    inside = [float(moment) for moment in moments if float(moment) + period_ms > now]
    return from_epoch_ms(inside[-count] + period_ms) if len(inside) >= count else None


def _status(key: str, rules: Rules, use: Any, held: float | None, now: float) -> LimitStatus:
    count, period = rules.counts(key)
    is_rate = period is not None
    used = len([moment for moment in use if float(moment) + (period or 0) > now]) if is_rate else len(use)
    queue = queue_of(key)
    return LimitStatus(
        name=queue or unquote(key[2:]),
        queue=queue,
        kind="rate" if key.startswith("r:") else "concurrency",
        count=count,
        period_s=None if period is None else timedelta(milliseconds=period).total_seconds(),
        used=used,
        free_at=free_at(use, count, period, now) if count and period else None,
        held_until=from_epoch_ms(held) if held is not None and held > now else None,
        waiting_lanes=0,
        defined=_said(rules.definition(key)),
        edited=_edit(key, rules),
    )


def _edit(key: str, rules: Rules) -> LimitEdit | None:
    found = rules.edit(key)
    if found is None:
        return None
    rule, at_ms, was, by = found[1].split(" ", 3)
    return LimitEdit(
        rule=_said(rule),
        was=_said(was),
        by=by,
        at=from_epoch_ms(float(at_ms)),
        name=queue_of(key) or unquote(found[0][2:]),
    )


def _said(rule: str | None) -> str | None:
    """A rule as people write it: ``10/60s``, ``4``; None for no limit."""
    if rule is None or rule == NO_RULE:
        return None
    count, slash, period = rule.partition("/")
    return f"{count}/{int(period) / 1000:g}s" if slash else count

"""When a cron line ticks.

APScheduler reads the line and says which local times fit it; what a local time is on the days when the clock is changed
is decided here, as cron has always done it:

- A line with ``*`` as its hour goes by the real clock: every moment whose local time fits. It ticks every real hour,
  through an hour that comes twice and over one that is left out.
- Any other line names local times, and each of them ticks once: the first time when it comes twice, and at the first
  moment after the gap when it is left out. Two that fall on one moment are one tick.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from flowzz import clock
from flowzz.errors import ConfigurationError

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_LINE = 100
STRIDE = timedelta(days=20)
"""No zone changes its clock twice within this time."""
INSTANT = timedelta(milliseconds=1)


@cache
def trigger(cron: str, timezone: str) -> CronTrigger:
    """The trigger of a five-field cron line: its local times, written as if they were UTC.

    Weekday numbers are cron's (0 and 7 are Sunday); APScheduler counts from Monday, so they become names first.
    Raises ConfigurationError that says which part of the line or the zone is wrong.
    """
    if len(cron) > LONGEST_LINE:
        raise ConfigurationError(f"expected a cron line of at most {LONGEST_LINE} characters, got {len(cron):,}")
    fields = cron.split()
    if len(fields) != 5:
        raise ConfigurationError(f"expected a cron line of five fields (minute hour day month weekday), got {cron!r}")
    zone_of(timezone)
    minute, hour, day, month, weekday = fields
    try:
        found = CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=_named(weekday), timezone=UTC)
    except ValueError as error:
        raise ConfigurationError(f"cron line {cron!r}: {error}") from None
    if found.get_next_fire_time(None, clock.now()) is None:
        raise ConfigurationError(f"cron line {cron!r} never ticks: no such day comes")
    return found


@cache
def zone_of(timezone: str) -> ZoneInfo:
    """The IANA time zone of that name; raises ConfigurationError."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"expected an IANA time zone such as 'America/Sao_Paulo', got {timezone!r}") from None


def next_tick(cron: str, timezone: str, after: datetime) -> datetime:
    """The first tick later than ``after`` (aware), in UTC. Raises ConfigurationError like ``trigger``."""
    line, zone = trigger(cron, timezone), zone_of(timezone)
    start = after.astimezone(UTC) + INSTANT
    found = _by_real_time(line, zone, start) if cron.split()[1] == "*" else _by_local_time(line, zone, start)
    if found is None:
        raise ConfigurationError(f"cron line {cron!r} never ticks again after {after.isoformat()}")
    return found


def passed_ticks(cron: str, timezone: str, after: datetime, until: datetime, most: int) -> list[datetime]:
    """The newest ``most`` ticks later than ``after`` and not later than ``until``, oldest first.

    Looks back from ``until``, so a long outage costs no more than a short one.
    """
    window = timedelta(hours=1)
    while True:
        start = max(after, until - window)
        found: deque[datetime] = deque(maxlen=most)
        tick = next_tick(cron, timezone, start)
        while tick <= until:
            found.append(tick)
            tick = next_tick(cron, timezone, tick)
        if len(found) == most or start == after:
            return list(found)
        window *= 2


def latest_tick(cron: str, timezone: str, after: datetime, until: datetime) -> datetime | None:
    """The newest tick later than ``after`` and not later than ``until``, or None when none has passed."""
    found = passed_ticks(cron, timezone, after, until, 1)
    return found[0] if found else None


def _by_real_time(line: CronTrigger, zone: ZoneInfo, start: datetime) -> datetime | None:
    """The first moment from ``start`` on whose local time fits: one stretch between two clock changes after another."""
    while True:
        offset = _offset(zone, start)
        local: datetime | None = line.get_next_fire_time(None, start + offset)
        if local is None:
            return None
        end = min(local - offset, start + STRIDE)
        if _offset(zone, end) != offset:
            start = _change(zone, start, end)
        elif local - offset <= end:
            return end
        else:
            start = end


def _by_local_time(line: CronTrigger, zone: ZoneInfo, start: datetime) -> datetime | None:
    """The first moment from ``start`` on at which a local time that fits comes for the first time."""
    local = line.get_next_fire_time(None, start + _offset(zone, start))
    while local is not None:
        moment = _first_moment(zone, local)
        if moment >= start:
            return moment
        local = line.get_next_fire_time(None, local + timedelta(seconds=1))
    return None


def _first_moment(zone: ZoneInfo, local: datetime) -> datetime:
    """When a local time (written as UTC) comes first, or the end of the gap that leaves it out."""
    wall = local.replace(tzinfo=zone)
    moment = wall.astimezone(UTC)
    if moment + _offset(zone, moment) == local:
        return moment
    return _change(zone, wall.replace(fold=1).astimezone(UTC), moment)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The moment, to the second, when the zone's offset changes from that at ``before`` to that at ``after``."""
    offset = _offset(zone, before)
    low, high = 0, -int((before - after).total_seconds() // 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, before + timedelta(seconds=middle)) == offset else (low, middle)
    changed = before + timedelta(seconds=high)
    return changed.replace(microsecond=0)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _named(weekday: str) -> str:
    """Cron's weekday numbers as names; steps (``*/2``) are left alone."""

    def name(match: re.Match[str]) -> str:
        return WEEKDAYS[int(match.group())]

    return ",".join(
        re.sub(r"(?<![/\d])[0-7](?!\d)", name, part.partition("/")[0]) + part[len(part.partition("/")[0]) :]
        for part in weekday.split(",")
    )

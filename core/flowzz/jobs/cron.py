"""When a cron line ticks, as APScheduler computes it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from flowzz import clock
from flowzz.errors import ConfigurationError

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
MISSED_LOOKBACK = 10_000
LONGEST_LINE = 100


@cache
def trigger(cron: str, timezone: str) -> CronTrigger:
    """The trigger of a five-field cron line in an IANA time zone.

    Weekday numbers are cron's (0 and 7 are Sunday); APScheduler counts from Monday, so they become names first.
    Raises ConfigurationError that says which part is wrong.
    """
    fields = cron.split()
    if len(fields) != 5 or len(cron) > LONGEST_LINE:
        raise ConfigurationError(f"expected a cron line of five fields (minute hour day month weekday), got {cron!r}")
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"expected an IANA time zone such as 'America/Sao_Paulo', got {timezone!r}") from None
    minute, hour, day, month, weekday = fields
    try:
        found = CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=_named(weekday), timezone=zone)
    except ValueError as error:
        raise ConfigurationError(f"cron line {cron!r}: {error}") from None
    if found.get_next_fire_time(None, clock.now()) is None:
        raise ConfigurationError(f"cron line {cron!r} never ticks: no such day comes")
    return found


def next_tick(cron: str, timezone: str, after: datetime) -> datetime:
    """The first tick later than ``after`` (aware). Raises ConfigurationError like ``trigger``."""
    found: datetime | None = trigger(cron, timezone).get_next_fire_time(None, after + timedelta(milliseconds=1))
    if found is None:
        raise ConfigurationError(f"cron line {cron!r} never ticks again after {after.isoformat()}")
    return found


def latest_tick(cron: str, timezone: str, after: datetime, until: datetime) -> datetime | None:
    """The newest tick later than ``after`` and not later than ``until``, or None when none has passed.

    Looks at up to 10,000 ticks one by one; a longer gap is entered near its end.
    """
    found = None
    tick = next_tick(cron, timezone, after)
    for _ in range(MISSED_LOOKBACK):
        if tick > until:
            return found
        found, tick = tick, next_tick(cron, timezone, tick)
    return latest_tick(cron, timezone, max(found or after, until - timedelta(days=1)), until) or found


def _named(weekday: str) -> str:
    """Cron's weekday numbers as names; steps (``*/2``) are left alone."""

    def name(match: re.Match[str]) -> str:
        return WEEKDAYS[int(match.group())]

    return ",".join(
        re.sub(r"(?<![/\d])[0-7](?!\d)", name, part.partition("/")[0]) + part[len(part.partition("/")[0]) :]
        for part in weekday.split(",")
    )

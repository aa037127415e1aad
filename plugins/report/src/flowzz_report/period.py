"""The days a report is about, as a person in the company's time zone means them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/Sao_Paulo")
"""Where companies are. Days begin at its midnight (or at the first moment a day has, where clocks skip it)."""

MAX_DAYS = 1_096
"""Longest period of one report: three years, a leap day among them."""


@dataclass(frozen=True, slots=True)
class Period:
    """From the first day to the last, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """The first moment, in UTC."""
        return _midnight(self.first)

    @property
    def end(self) -> datetime:
        """The first moment after the period, in UTC."""
        return _midnight(self.last + timedelta(days=1))

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def each_day(self) -> list[date]:
        return [self.first + timedelta(days=at) for at in range(self.days)]

    def offsets(self) -> list[tuple[datetime, int]]:
        """How far local time is ahead of UTC, in seconds, and until which moment (UTC, not included); in order.

        One entry where clocks are not changed. SQLite knows no time zones, so queries are told by this.
        """
        found: list[tuple[datetime, int]] = []
        moment = self.start
        while moment < self.end:
            offset = _offset(moment)
            until = _change_after(moment, offset, self.end)
            found.append((until, offset))
            moment = until
        return found


def local(moment: datetime) -> datetime:
    """The wall clock of the company at that moment, without a zone."""
    return moment.astimezone(ZONE).replace(tzinfo=None)


def today() -> date:
    return datetime.now(ZONE).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


def _offset(moment: datetime) -> int:
    offset = moment.astimezone(ZONE).utcoffset()
    return int((offset or timedelta(0)).total_seconds())


def _change_after(moment: datetime, offset: int, end: datetime) -> datetime:
    """The first moment after ``moment`` with another offset, to the second; ``end`` when there is none before it."""
    low = moment
    while low < end and _offset(low) == offset:
        low += timedelta(days=1)
    if low >= end and _offset(end) == offset:
        return end
    high, low = min(low, end), max(moment, low - timedelta(days=1))
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (middle, high) if _offset(middle) == offset else (low, middle)
    return high

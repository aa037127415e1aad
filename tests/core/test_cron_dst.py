"""Ticks on the days when clocks are changed, against a brute-force walk over real time with zoneinfo.

All lines and all clock changes here fall on quarter hours, so the walk goes by quarter hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from flowzz.jobs.cron import next_tick, passed_ticks

QUARTER = timedelta(minutes=15)
LINES = {
    "0 * * * *": lambda t: t.minute == 0,
    "*/15 * * * *": lambda t: True,
    "30 * * * 0": lambda t: t.minute == 30 and t.isoweekday() == 7,
    "0 */6 * * *": lambda t: (t.hour % 6, t.minute) == (0, 0),
    "30 2 * * *": lambda t: (t.hour, t.minute) == (2, 30),
    "0,45 0-2 * * *": lambda t: t.hour <= 2 and t.minute in (0, 45),
    "15 1 1 * *": lambda t: (t.day, t.hour, t.minute) == (1, 1, 15),
    "0 0 * * 0": lambda t: t.isoweekday() == 7 and (t.hour, t.minute) == (0, 0),
}
ZONES = {
    "America/Sao_Paulo": range(2016, 2020),  # changed at midnight, until 2019
    "America/New_York": range(2024, 2027),
    "Europe/London": range(2024, 2027),
    "Australia/Lord_Howe": range(2024, 2027),  # by half an hour
    "America/Havana": range(2024, 2027),  # midnight does not exist, and comes twice
    "Pacific/Apia": range(2010, 2013),  # skipped a whole day
    "Africa/Casablanca": range(2024, 2026),  # around Ramadan
    "Antarctica/Troll": range(2024, 2026),  # by two hours
    "Asia/Kathmandu": range(2025, 2026),  # never, at +05:45
}


def walk(cron: str, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The ticks in [start, end): for ``*`` hours each moment that fits; else each local time when it first comes."""
    fits = LINES[cron]
    seen = (start - QUARTER).astimezone(zone).replace(tzinfo=None)
    moment = start - timedelta(days=3)
    while moment < end:
        local = moment.astimezone(zone).replace(tzinfo=None)
        if cron.split()[1] == "*":
            ticks = fits(local)
        else:
            if moment < start:
                seen = local if moment == start - timedelta(days=3) else max(seen, local)
            passed, ticks = seen + QUARTER, False
            while passed <= local:
                ticks = ticks or fits(passed)
                passed += QUARTER
            seen = max(seen, local)
        if ticks and moment >= start:
            yield moment
        moment += QUARTER


def changes(zone: ZoneInfo, years: range) -> list[datetime]:
    day = datetime(years.start, 1, 1, tzinfo=UTC)
    found = []
    while day.year < years.stop:
        if day.astimezone(zone).utcoffset() != (day + timedelta(days=1)).astimezone(zone).utcoffset():
            found.append(day)
        day += timedelta(days=1)
    return found


def ticks(cron: str, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    tick = next_tick(cron, zone, start - timedelta(milliseconds=1))
    while tick < end:
        yield tick
        tick = next_tick(cron, zone, tick)


@pytest.mark.parametrize("zone", ZONES)
def test_every_line_ticks_as_the_walk_does_around_each_change(zone: str) -> None:
    found = changes(ZoneInfo(zone), ZONES[zone])
    assert len(found) >= len(ZONES[zone]) or zone == "Asia/Kathmandu"
    for day in found:
        start, end = day - timedelta(days=2), day + timedelta(days=3)
        for cron in LINES:
            expected = list(walk(cron, ZoneInfo(zone), start, end))
            assert list(ticks(cron, zone, start, end)) == expected, (cron, day)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", ["0 */6 * * *", "30 2 * * *", "0 0 * * 0", "30 * * * 0", "15 1 1 * *"])
def test_whole_years_tick_as_the_walk_does(zone: str, cron: str) -> None:
    years = ZONES[zone]
    start, end = datetime(years.start, 1, 1, tzinfo=UTC), datetime(years.stop, 1, 1, tzinfo=UTC)
    expected = list(walk(cron, ZoneInfo(zone), start, end))
    assert list(ticks(cron, zone, start, end)) == expected
    assert passed_ticks(cron, zone, start, end - QUARTER, 7) == expected[-7:]


def test_an_hourly_line_runs_every_real_hour_through_both_changes() -> None:
    for day in (datetime(2025, 3, 9, tzinfo=UTC), datetime(2025, 11, 2, tzinfo=UTC)):
        found = list(ticks("0 * * * *", "America/New_York", day, day + timedelta(days=1)))
        assert found == [day + timedelta(hours=hour) for hour in range(24)]


def test_a_local_time_in_a_gap_runs_at_its_end_and_one_that_comes_twice_runs_once() -> None:
    spring, autumn = datetime(2025, 3, 9, tzinfo=UTC), datetime(2025, 11, 2, tzinfo=UTC)
    zone = "America/New_York"
    assert list(ticks("30 2 * * *", zone, spring, spring + timedelta(days=1))) == [spring + timedelta(hours=7)]
    assert list(ticks("30 1 * * *", zone, autumn, autumn + timedelta(days=1))) == [
        autumn + timedelta(hours=5, minutes=30)
    ]
    sao_paulo = datetime(2018, 11, 4, tzinfo=UTC)  # 00:00 was left out
    assert next_tick("0 0 * * *", "America/Sao_Paulo", sao_paulo) == sao_paulo + timedelta(hours=3)

"""What each ad did each day (reference §3.4 and §3.5).

Meta restates numbers for 28 days, so each run asks for the last 28 again; a first or full one goes further back. More
than a week at once goes through a report run, whose id is in the checkpoint: a run that was interrupted polls the old
one. While a report runs the job is put off (``snooze``) and holds no thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flowzz.clock import now
from flowzz.store.bulk import upsert
from flowzz_facebook.connection import HISTORY_MONTHS
from flowzz_facebook.cursor import Place, Window
from flowzz_facebook.errors import ObjectMissing, TooMuchData, TransientError
from flowzz_facebook.graph import create_report, insights_query, read_report
from flowzz_facebook.listing import Listing
from flowzz_facebook.models import insights
from flowzz_facebook.reading import insights_rows
from flowzz_facebook.run import Run
from flowzz_facebook.structure import SHARE
from flowzz_facebook.usage import ADS_INSIGHTS

RESTATED_DAYS = 28
WINDOW_DAYS = 28
MOST_DIRECT_DAYS = 7
"""A range of more days goes through a report."""

MOST_SPLITS = 3
MOST_TRIES = 3
UNREPLICATED_POLLS = 2
"""So often a new report may be unknown to Meta before it counts as lost."""

NOT_STARTED_FOR = timedelta(minutes=5)
RUNNING_FOR = timedelta(hours=1)
LONGEST_POLL = timedelta(minutes=1)
KIND = "insights"


def today_in(timezone: str, at: datetime) -> date:
    """The account's own day; UTC's for a zone nobody knows."""
    try:
        return at.astimezone(ZoneInfo(timezone)).date()
    except (ZoneInfoNotFoundError, ValueError):
        return at.date()


def oldest_day(today: date) -> date:
    """The first day Meta still has: 37 months back, a day kept as distance."""
    months = today.year * 12 + today.month - 1 - HISTORY_MONTHS
    first = date(months // 12, months % 12 + 1, 1)
    return first + timedelta(days=today.day)


def planned(today: date, history_days: int, until: date | None) -> tuple[Window, ...]:
    """The windows to fetch, newest first. ``until``: the last day of the last success; None asks for all history."""
    since = today - timedelta(days=RESTATED_DAYS - 1)
    if until is None:
        since = today - timedelta(days=history_days - 1)
    elif until < since:
        since = until
    return tuple(_windows(max(since, oldest_day(today)), today))


def _windows(since: date, until: date) -> Iterator[Window]:
    while until >= since:
        first = max(since, until - timedelta(days=WINDOW_DAYS - 1))
        days = (until - first).days + 1
        yield Window(first.isoformat(), until.isoformat(), as_report=days > MOST_DIRECT_DAYS)
        until = first - timedelta(days=1)


class InsightsKeeper:
    """Takes the pages of one window."""

    def __init__(self, run: Run, window: Window) -> None:
        self.run = run
        self.name = f"insights {window.since} to {window.until}"
        self.before, self.log = run.before, run.log

    def store(self, rows: list[Any]) -> int:
        run = self.run
        found, problems, lost = insights_rows(rows, run.company_id, run.account, run.settings.purchase_action_type)
        with run.ctx.store.session() as session:
            upsert(session, insights, found, ("company_id", "ad_id", "day"))
        run.log_problems(self.name, problems)
        run.cursor = replace(run.cursor, errors=run.cursor.errors + lost)
        return len(found)

    def reached(self, place: Place, *, is_last: bool) -> None:
        cursor = self.run.cursor
        windows = cursor.windows or ()
        if is_last:
            self.run.move(windows=windows[1:], counts=cursor.counted(KIND, place.rows))
        else:
            self.run.move(windows=(replace(windows[0], place=place), *windows[1:]))
        done = 1 - len(windows) / max(self.run.cursor.planned, 1)
        self.run.progress(SHARE + (100 - SHARE) * max(done, 0), f"{self.name}, page {place.page}")


def sync_insights(run: Run) -> None:
    """Fetch the windows that are not done yet. Raises Snoozed while a report runs, and what ``Listing.read`` raises."""
    run.client.use(ADS_INSIGHTS)
    while run.cursor.windows:
        window = run.cursor.windows[0]
        if window.as_report and not _is_ready(run, window):
            continue
        _read(run, run.cursor.windows[0])


def _read(run: Run, window: Window) -> None:
    path = f"{window.report}/insights" if window.as_report else f"act_{run.account}/insights"
    query = {} if window.as_report else insights_query(*_days(window))
    place = window.place or Place(limit=run.settings.insights_page_size)
    try:
        Listing(run.client, InsightsKeeper(run, window)).read(path, query, place)
    except TooMuchData as problem:
        _divide(run, window, str(problem))
        return
    except ObjectMissing as problem:
        if not window.as_report:
            raise
        _again(run, window, f"the report is not there any more: {problem}")


def _is_ready(run: Run, window: Window) -> bool:
    """Lead the window's report further; False when the window was changed meanwhile. Raises Snoozed while it runs."""
    if window.is_ready:
        return True
    run.before()
    if window.report is None:
        try:
            report = create_report(run.client, insights_query(*_days(window)))
        except TooMuchData as problem:
            _divide(run, window, str(problem))
            return False
        window = replace(window, report=report, submitted_at=now().isoformat(), polls=0)
        _put(run, window)
        _wait(run, window)
    return _polled(run, window)


def _polled(run: Run, window: Window) -> bool:
    try:
        report = read_report(run.client, str(window.report))
    except ObjectMissing as problem:
        if window.polls <= UNREPLICATED_POLLS:
            _wait(run, window)
        _again(run, window, f"the report is not there: {problem}")
        return False
    if report.is_ready:
        _put(run, replace(window, is_ready=True))
        return True
    if report.status == "Job Failed":
        _divide(run, window, f"the report failed: {report.problem or 'no reason given'}")
        return False
    if report.status == "Job Skipped":
        _again(run, window, "the report was skipped")
        return False
    patience = NOT_STARTED_FOR if report.status == "Job Not Started" else RUNNING_FOR
    if now() - datetime.fromisoformat(str(window.submitted_at)) > patience:
        _again(run, window, f"the report is {report.status!r} at {report.percent} % for over {patience}")
        return False
    _wait(run, window)
    return False


def _wait(run: Run, window: Window) -> None:
    """Look again later; the pause doubles. Raises Snoozed."""
    _put(run, replace(window, polls=window.polls + 1))
    pause = min(timedelta(seconds=run.settings.poll_seconds * 2 ** min(window.polls, 10)), LONGEST_POLL)
    run.ctx.snooze(pause, f"Meta prepares report {window.report} ({window.since} to {window.until})")


def _again(run: Run, window: Window, problem: str) -> None:
    """Ask for another report of the same days. Raises TransientError when that came to nothing too often."""
    tries = window.tries + 1
    fresh = Window(window.since, window.until, tries=tries % MOST_TRIES, splits=window.splits, as_report=True)
    _put(run, fresh)
    if tries >= MOST_TRIES:
        raise TransientError(f"insights {window.since} to {window.until}: {problem}, {tries} times in a row")
    run.log(f"insights {window.since} to {window.until}: {problem}; asking for another report")


def _divide(run: Run, window: Window, problem: str) -> None:
    """Halve the days; one day, or days halved often enough, are asked for as they are, through a report."""
    since, until = _days(window)
    days = (until - since).days + 1
    if days == 1 or window.splits >= MOST_SPLITS:
        _again(run, window, problem)
        return
    middle = since + timedelta(days=days // 2 - 1)
    half = replace(window, report=None, submitted_at=None, polls=0, is_ready=False, tries=0, splits=window.splits + 1)
    later = replace(half, since=(middle + timedelta(days=1)).isoformat(), place=None)
    earlier = replace(half, until=middle.isoformat(), place=None)
    run.log(f"insights {window.since} to {window.until}: {problem}; asking for half of the days at a time")
    rest = (run.cursor.windows or ())[1:]
    run.move(windows=(later, earlier, *rest), planned=run.cursor.planned + 1)


def _put(run: Run, window: Window) -> None:
    run.move(windows=(window, *(run.cursor.windows or ())[1:]))


def _days(window: Window) -> tuple[date, date]:
    return date.fromisoformat(window.since), date.fromisoformat(window.until)

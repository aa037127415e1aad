"""Missed ticks, overlap, and the run-time edits over a plugin's schedules; a clock that stands still ticks them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from flowzz.app import Flowzz
from flowzz.errors import InvalidRequest, UnknownSchedule
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import MissedTick, Overlap, Schedule
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.queues.schedules import FireOutcome
from flowzz.scheduling import Difference, Scheduler, Schedules
from flowzz.settings import Settings
from support.engine import completed, ended, step
from support.probe import Hooks, plugin

NAME = "probe.work"
STEM = NAME.replace(".", "-")


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-24T{clock}").replace(tzinfo=UTC)


class Changed(Hooks):
    """The probe's schedule, in UTC, with other values."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    @hookimpl
    def flowzz_schedules(self) -> list[Schedule]:
        return [replace(schedule, timezone="UTC", **self._values) for schedule in super().flowzz_schedules()]


class World:
    """An app with one schedule, and a clock that a test sets."""

    def __init__(self, app: Flowzz, clock: Any) -> None:
        self.app, self.clock = app, clock
        self.schedules = Schedules(app)

    def look(self, *times: str) -> None:
        """A fresh scheduler looks at each of these times."""
        for time in times:
            self.clock.move_to(at(time))
            Scheduler(self.app).run_due()

    def ticks(self) -> list[tuple[str, str, int]]:
        """(tick, how, jobs), oldest first."""
        return [(f"{t.tick:%H:%M}", t.how, t.jobs) for t in reversed(self.app.queues.ticks(NAME))]

    def ids(self) -> list[str]:
        return [job.id for job in self.app.queues.jobs("probe", JobState.WAITING, limit=500).items]


Make = Callable[..., World]


@pytest.fixture
def world(settings: Settings) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(**values: Any) -> World:
            host = PluginHost.of([replace(plugin, hooks=Changed(values))])
            assert [record.problem for record in host.records] == [None]
            app = stack.enter_context(Flowzz.open(settings, plugins=host))
            return World(app, stack.enter_context(time_machine.travel(at("07:30"), tick=False)))

        yield make


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"missed": MissedTick.SKIP}, [("11:00", "missed", 0), ("12:00", "fired", 2)]),
        ({"missed": MissedTick.RUN_ONCE}, [("11:00", "fired", 2), ("12:00", "fired", 2)]),
        (
            {"missed": MissedTick.RUN_ALL, "missed_limit": 3},
            [("09:00", "fired", 2), ("10:00", "fired", 2), ("11:00", "fired", 2), ("12:00", "fired", 2)],
        ),
        (
            {"missed": MissedTick.RUN_ALL},
            [(f"{hour:02}:00", "fired", 2) for hour in range(8, 13)],
        ),
    ],
)
def test_missed_ticks_follow_their_policy(world: Make, values: dict[str, Any], expected: list[Any]) -> None:
    here = world(**values)
    here.look("07:30", "11:10", "11:20", "12:00")
    assert here.ticks() == expected
    fired = [at(tick) for tick, how, _ in expected if how == "fired"]
    assert here.ids() == [f"{STEM}-{int(tick.timestamp())}-{place}" for tick in fired for place in (0, 1)]


def test_several_schedulers_run_all_missed_ticks_once_each(world: Make) -> None:
    here = world(missed=MissedTick.RUN_ALL, missed_limit=50)
    here.look("07:30")
    here.clock.move_to(at("23:10"))
    threads = [threading.Thread(target=Scheduler(here.app).run_due) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hours = [tick for tick, _, _ in here.ticks()]
    assert hours == sorted(set(hours))
    assert hours[-1] == "23:00"
    assert len(here.ids()) == 2 * len(hours)


def test_a_limit_below_one_is_refused() -> None:
    host = PluginHost.of([replace(plugin, hooks=Changed({"missed_limit": 0}))])
    assert "missed_limit" in str(host.records[0].problem)


class TestOverlap:
    def test_a_tick_is_skipped_while_a_job_of_the_one_before_is_open(self, world: Make) -> None:
        here = world(overlap=Overlap.SKIP)
        here.look("07:30", "08:00", "09:00")
        first, second = step(here.app.queues, served=("probe",)).claims
        here.look("10:00")
        step(here.app.queues, completed(first), ended(second, "retrying", delay_ms=3_600_000), want=0)
        here.look("11:00")
        here.app.queues.cancel(second.job_id)
        here.look("12:00", "13:00")
        assert here.ticks() == [
            ("08:00", "fired", 2),
            ("09:00", "overlapped", 0),
            ("10:00", "overlapped", 0),
            ("11:00", "overlapped", 0),
            ("12:00", "fired", 2),
            ("13:00", "overlapped", 0),
        ]

    @pytest.mark.parametrize("end", ["failed", "removed"])
    def test_jobs_that_failed_or_are_gone_hold_nothing_back(self, world: Make, end: str) -> None:
        here = world(overlap=Overlap.SKIP)
        here.look("07:30", "08:00")
        for claim in step(here.app.queues, served=("probe",)).claims:
            step(here.app.queues, ended(claim, "failed"), want=0)
            if end == "removed":
                here.app.queues.remove(claim.job_id)
        here.look("09:00")
        assert here.ticks()[-1] == ("09:00", "fired", 2)

    def test_ticks_overlap_by_default_and_keep_no_list(self, world: Make) -> None:
        here = world()
        here.look("07:30", "08:00", "09:00")
        assert [how for _, how, _ in here.ticks()] == ["fired", "fired"]
        assert here.app.queues._clients.commands.keys("flowzz:open:*") == []


class TestEdits:
    def test_a_paused_schedule_does_not_tick_and_does_not_catch_up(self, world: Make) -> None:
        here = world(missed=MissedTick.RUN_ALL)
        here.look("07:30")
        here.schedules.pause(NAME, "month end", "ana@loja")
        here.look("08:00", "09:30")
        paused = here.schedules.get(NAME)
        assert paused.state.paused is not None
        assert (paused.state.paused.reason, paused.state.paused.by) == ("month end", "ana@loja")
        assert paused.state.paused.at == at("07:30")
        assert paused.next_tick(at("09:30")) is None
        assert here.schedules.resume(NAME, "ana@loja")
        assert not here.schedules.resume(NAME, "ana@loja")
        here.look("09:30", "10:00")
        assert here.ticks() == [("10:00", "fired", 2)]

    def test_another_line_counts_from_now_and_the_difference_is_shown(self, world: Make) -> None:
        here = world()
        here.look("07:30")
        here.schedules.set(NAME, "ana@loja", cron="*/10 * * * *", timezone="America/New_York")
        here.look("07:30", "07:40", "08:00")
        assert [tick for tick, _, _ in here.ticks()] == ["07:40", "08:00"]
        edited = here.schedules.get(NAME)
        assert edited.is_edited
        assert edited.differences == [
            Difference(field="cron", defined="0 * * * *", edited="*/10 * * * *", was=None),
            Difference(field="timezone", defined="UTC", edited="America/New_York", was=None),
        ]
        here.schedules.set(NAME, "ana@loja", timezone="UTC")
        assert [difference.field for difference in here.schedules.get(NAME).differences] == ["cron"]
        assert here.schedules.revert(NAME, "ana@loja")
        assert not here.schedules.revert(NAME, "ana@loja")
        here.look("08:10", "09:00")
        assert [tick for tick, _, _ in here.ticks()] == ["07:40", "08:00", "09:00"]

    def test_an_edit_outlives_a_changed_definition_and_the_difference_shows_both(self, world: Make) -> None:
        world().schedules.set(NAME, "ana@loja", cron="30 * * * *")
        upgraded = world(cron="15 * * * *").schedules.get(NAME)
        assert upgraded.schedule.cron == "30 * * * *"
        assert upgraded.differences == [
            Difference(field="cron", defined="15 * * * *", edited="30 * * * *", was="0 * * * *")
        ]

    def test_the_definitions_own_value_ends_the_edit(self, world: Make) -> None:
        here = world()
        here.schedules.set(NAME, "ana@loja", cron="30 * * * *")
        here.schedules.set(NAME, "ana@loja", cron="0 * * * *")
        assert not here.schedules.get(NAME).is_edited

    @pytest.mark.parametrize(
        ("values", "says"),
        [({"cron": "61 * * * *"}, "cron line"), ({"timezone": "Brasil/Leste"}, "IANA"), ({}, "got neither")],
    )
    def test_a_line_that_cannot_be_read_is_refused(self, world: Make, values: dict[str, str], says: str) -> None:
        here = world()
        with pytest.raises(InvalidRequest, match=says):
            here.schedules.set(NAME, "ana@loja", **values)
        assert not here.schedules.get(NAME).is_edited

    def test_a_tick_that_was_computed_before_an_edit_is_refused(self, world: Make) -> None:
        here = world()
        here.look("07:30")
        before = here.schedules.get(NAME)
        here.schedules.pause(NAME, "month end", "ana@loja")
        reply = here.app.fire(before.schedule, at("08:00"), revision=before.state.revision)
        assert (reply.outcome, here.ids()) == (FireOutcome.EDITED, [])

    def test_run_now_enqueues_once_an_id_and_leaves_the_tick_order(self, world: Make) -> None:
        here = world()
        here.look("07:30")
        here.schedules.pause(NAME, "month end", "ana@loja")
        assert here.schedules.run(NAME, "ana@loja", run_id="r1").jobs == 2
        assert here.schedules.run(NAME, "ana@loja", run_id="r1").outcome is FireOutcome.CLAIMED_BEFORE
        assert here.ids() == [f"{STEM}-run-r1-0", f"{STEM}-run-r1-1"]
        here.schedules.resume(NAME, "ana@loja")
        here.look("08:00")
        assert [how for _, how, _ in here.ticks()] == ["run", "fired"]
        (run,) = [tick for tick in here.app.queues.ticks(NAME) if tick.how == "run"]
        assert run.by == "ana@loja"

    def test_a_schedule_nobody_has_is_named_with_the_nearest(self, world: Make) -> None:
        with pytest.raises(UnknownSchedule, match=r"did you mean 'probe.work'"):
            world().schedules.pause("probe.wrk", "", "")

    def test_only_the_last_hundred_ticks_are_kept(self, world: Make) -> None:
        here = world(cron="* * * * *", missed=MissedTick.RUN_ALL, missed_limit=120)
        here.look("07:30", "09:30")
        assert len(here.ticks()) == 100
        assert here.ticks()[-1][0] == "09:30"


def test_the_spread_delays_each_job_within_its_bound(world: Make) -> None:
    here = world(spread=timedelta(hours=1))
    here.look("07:30", "08:00")
    jobs = here.app.queues.jobs("probe", JobState.DELAYED).items
    assert len(jobs) == 2
    assert all(job.due_at and job.due_at - job.created_at <= timedelta(hours=1, seconds=1) for job in jobs)


def test_a_scheduler_that_runs_on_looks_every_five_seconds_and_sees_edits(world: Make) -> None:
    here = world()
    here.look("07:30")
    scheduler = Scheduler(here.app)
    assert scheduler.run_due() == 5
    here.schedules.set(NAME, "ana@loja", cron="31 * * * *")
    here.clock.move_to(at("07:31"))
    assert scheduler.run_due() == 5
    assert here.ticks() == [("07:31", "fired", 2)]


def test_a_line_that_nobody_can_read_stops_no_other_schedule(world: Make) -> None:
    """Written by another version, say: it is logged, and the schedule has no next tick."""
    here = world()
    here.look("07:30")
    own = here.schedules.get(NAME).definition
    here.app.queues.transitions.edit_schedule(
        NAME, "set", by="x", now_ms=0, own=(own.cron, own.timezone), cron="every day"
    )
    here.look("08:00")
    assert here.ticks() == []
    assert here.schedules.get(NAME).view(at("08:00")).next_at is None
    here.schedules.revert(NAME, "ana@loja")
    here.look("09:00")
    assert [tick for tick, _, _ in here.ticks()] == ["09:00"]

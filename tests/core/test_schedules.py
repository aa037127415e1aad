"""When schedules tick, what happens to missed ticks, and that several schedulers make one."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
import time_machine

from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError, InvalidPayload
from flowzz.jobs.cron import latest_tick, next_tick, trigger
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import MissedTick, Schedule
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.scheduling import Scheduler, Schedules
from flowzz.scheduling.scheduler import upcoming_ticks
from flowzz.settings import Settings
from support.probe import Hooks, plugin

SAO_PAULO = "America/Sao_Paulo"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 * * * *", SAO_PAULO, "2026-11-24T01:00:00", "2026-11-24T02:00:00"),
        ("0 */6 * * *", SAO_PAULO, "2026-11-24T00:00:00", "2026-11-24T03:00:00"),
        ("30 9 * * 1", "UTC", "2026-11-24T00:00:00", "2026-11-30T09:30:00"),
        ("0 12 * * 0", "UTC", "2026-11-24T00:00:00", "2026-11-29T12:00:00"),
        ("0 12 * * 7", "UTC", "2026-11-24T00:00:00", "2026-11-29T12:00:00"),
        ("0 12 * * 1-5", "UTC", "2026-11-27T13:00:00", "2026-11-30T12:00:00"),
        ("0 12 * * mon,wed", "UTC", "2026-11-24T00:00:00", "2026-11-25T12:00:00"),
        ("*/15 * * * *", "UTC", "2026-11-24T00:14:59.999", "2026-11-24T00:15:00"),
    ],
)
def test_the_next_tick_is_crons(cron: str, zone: str, after: str, expected: str) -> None:
    assert next_tick(cron, zone, at(after)) == at(expected)


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "0 0 * * 9", "x * * * *", "0 0 30 2 *", "0 " * 60])
def test_a_broken_cron_line_is_refused_by_name(cron: str) -> None:
    with pytest.raises(ConfigurationError, match="cron line"):
        trigger(cron, "UTC")


def test_a_cron_line_is_bounded_before_it_is_read() -> None:
    """A plain line of five fields that are each fine, but long: nothing of it is expanded."""
    with pytest.raises(ConfigurationError, match="at most 100 characters, got 1,009"):
        trigger("0," * 500 + "0 * * * *", "UTC")


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="IANA time zone"):
        trigger("0 * * * *", "Brasil/Leste")


def test_the_latest_missed_tick_is_found_after_a_short_and_after_a_long_outage() -> None:
    until = at("2026-11-24T10:30:00")
    assert latest_tick("0 * * * *", "UTC", at("2026-11-24T07:30:00"), until) == at("2026-11-24T10:00:00")
    assert latest_tick("* * * * *", "UTC", at("2026-01-01T00:00:00"), until) == until
    assert latest_tick("0 * * * *", "UTC", at("2026-11-24T10:00:00"), until) is None


def last_tick(app: Flowzz) -> datetime:
    state = app.queues.schedule_states(["probe.work"])["probe.work"]
    return datetime.fromtimestamp((state.last_tick_ms or 0) / 1000, UTC)


def jobs_waiting(app: Flowzz) -> int:
    return app.queues.stats(["probe"])[0].waiting


def test_the_first_start_fires_nothing_and_the_next_tick_fires_once_a_payload(app: Flowzz) -> None:
    with time_machine.travel(at("2026-11-24T07:30:00"), tick=False) as clock:
        scheduler = Scheduler(app)
        scheduler.run_due()
        assert jobs_waiting(app) == 0
        clock.move_to(at("2026-11-24T08:00:00"))
        scheduler.run_due()
        scheduler.run_due()
        assert jobs_waiting(app) == 2


class OneWrong(Hooks):
    @hookimpl
    def flowzz_schedules(self) -> list[Schedule]:
        def payloads(_: object) -> list[dict[str, object]]:
            return [{"empresaId": "a"}, {"empresaId": "b", "pages": "many"}, {"empresaId": "c"}]

        broken = Schedule(
            name="probe.broken", job="probe.work", cron="0 * * * *", payloads=lambda _: [{"pages": "many"}]
        )
        return [broken, Schedule(name="probe.work", job="probe.work", cron="0 * * * *", payloads=payloads)]


def test_a_payload_that_is_refused_holds_no_other_company_and_no_other_schedule_up(settings: Settings) -> None:
    with (
        Flowzz.open(settings, plugins=PluginHost.of([replace(plugin, hooks=OneWrong())])) as app,
        time_machine.travel(at("2026-11-24T07:30:00"), tick=False) as clock,
    ):
        Scheduler(app).run_due()
        clock.move_to(at("2026-11-24T08:00:00"))
        Scheduler(app).run_due()
        jobs = app.queues.jobs("probe", JobState.WAITING).items
        assert [job.company_id for job in jobs] == ["a", "c"]
        assert last_tick(app) == at("2026-11-24T08:00:00")
        with pytest.raises(InvalidPayload):
            Schedules(app).run("probe.broken", "ana@loja.example")


GARBAGE = {
    "text": b"soon",
    "no UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "nothing": b"",
    "negative": b"-1",
    "huge": b"9" * 400,
}


@pytest.mark.parametrize("junk", GARBAGE.values(), ids=GARBAGE)
def test_whatever_others_write_into_a_schedule_s_keys_it_fires_again(
    app: Flowzz, raw: redis.Redis, junk: bytes
) -> None:
    with time_machine.travel(at("2026-11-24T07:30:00"), tick=False) as clock:
        scheduler = Scheduler(app)
        scheduler.run_due()
        Schedules(app).pause("probe.work", "stock taking", "ana@loja.example")
        raw.hset(keys.SCHEDULE("probe.work"), mapping={"last_tick_ms": junk, "revision": junk, junk: junk})
        raw.hset(keys.EDIT("probe.work"), mapping={"paused_at_ms": junk, "set_at_ms": junk, junk: junk})
        raw.lpush(keys.TICKS("probe.work"), junk)
        scheduler.run_due()
        Schedules(app).resume("probe.work", "ana@loja.example")
        clock.move_to(at("2026-11-24T08:00:00"))
        scheduler.run_due()
        assert jobs_waiting(app) == 2
        assert [tick.how for tick in app.queues.ticks("probe.work")] == ["fired"]


def test_ticks_missed_while_everything_was_down_run_once(app: Flowzz) -> None:
    with time_machine.travel(at("2026-11-24T07:30:00"), tick=False) as clock:
        Scheduler(app).run_due()
        clock.move_to(at("2026-11-24T11:10:00"))
        Scheduler(app).run_due()
        assert jobs_waiting(app) == 2
        assert last_tick(app) == at("2026-11-24T11:00:00")


class SkippingHooks(Hooks):
    @hookimpl
    def flowzz_schedules(self) -> list[Schedule]:
        return [replace(schedule, missed=MissedTick.SKIP) for schedule in super().flowzz_schedules()]


def test_a_schedule_may_skip_what_it_missed(settings: Settings) -> None:
    host = PluginHost.of([replace(plugin, hooks=SkippingHooks())])
    with (
        Flowzz.open(settings, plugins=host) as app,
        time_machine.travel(at("2026-11-24T07:30:00"), tick=False) as clock,
    ):
        Scheduler(app).run_due()
        clock.move_to(at("2026-11-24T11:10:00"))
        Scheduler(app).run_due()
        assert jobs_waiting(app) == 0
        clock.move_to(at("2026-11-24T12:00:00"))
        Scheduler(app).run_due()
        assert jobs_waiting(app) == 2


def test_ten_schedulers_at_one_tick_enqueue_it_once(app: Flowzz) -> None:
    tick = at("2026-11-24T08:00:00")
    schedule = app.plugins.schedules["probe.work"]
    gate = threading.Barrier(10)
    wins: list[int] = []

    def fire() -> None:
        gate.wait()
        wins.append(app.fire(schedule, tick).jobs)

    threads = [threading.Thread(target=fire) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [*[0] * 9, 2]
    assert jobs_waiting(app) == 2


def test_the_next_ticks_are_listed_soonest_first(app: Flowzz) -> None:
    now = at("2026-11-24T07:30:00")
    assert upcoming_ticks(Schedules(app).all(), now) == [("probe.work", now + timedelta(minutes=30))]

"""Scheduler processes side by side, killed, and on machines whose clocks are wrong: a tick is fired once, in time.

That one dies before or after any of its round trips is in test_crash_points.py; the days on which clocks are changed
are in core/test_cron_dst.py.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.clock import from_epoch_ms
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.scheduling import Schedules
from flowzz.settings import Settings
from support.faults.acts import FAST_CLOCK_VARIABLE
from support.faults.chaos import Slot
from support.faults.crashes import Lane, lanes
from support.faults.invariants import assert_invariants, gather, quiesced
from support.faults.jobs import MINUTELY, OFTEN_SKIPPED, SINK_VARIABLE, TICKING_VARIABLE
from support.probe import plugin
from support.processes import role
from support.waiting import eventually


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


def last_tick(app: Flowzz) -> int:
    return app.queues.schedule_states(["probe.work"])["probe.work"].last_tick_ms or 0


def test_two_schedulers_and_three_ticks_enqueue_each_companys_job_once_a_tick(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    """Each round starts two fresh scheduler processes an hour later than the one before; both try its tick."""
    tick_times = []
    ready = tmp_path / "ready"
    ready.mkdir()
    app.queues.begin_schedule("probe.work", 1)
    for hour in range(3):
        ahead = str(hour * 3600)
        with (
            role("scheduler", home, redis_url, PROBE_CLOCK_AHEAD_S=ahead, PROBE_READY=str(ready)) as one,
            role("scheduler", home, redis_url, PROBE_CLOCK_AHEAD_S=ahead, PROBE_READY=str(ready)) as two,
        ):
            pids = {str(one.pid), str(two.pid)}
            eventually(lambda pids=pids: pids <= {file.name for file in ready.iterdir()})
            tick_times.append(last_tick(app))
            for process in (one, two):
                process.send_signal(signal.SIGTERM)
                assert process.wait(90) == 0
    jobs = app.queues.jobs("probe", JobState.WAITING, limit=100).items
    assert len(tick_times) == 3
    assert sorted(job.id for job in jobs) == sorted(
        f"probe-work-{tick // 1000}-{place}" for tick in tick_times for place in (0, 1)
    )
    assert {job.company_id for job in jobs} == {"loja-1", "loja-2"}


def test_a_running_scheduler_sees_an_edit_within_seconds(app: Flowzz, home: Path, redis_url: str) -> None:
    """By its clock it is 12 s to half past; the hourly line is edited to tick at half past."""
    now = clock.now()
    half_past = (now + timedelta(hours=2)).replace(minute=30, second=0, microsecond=0)
    ahead = str((half_past - now).total_seconds() - 12)
    with role("scheduler", home, redis_url, PROBE_CLOCK_AHEAD_S=ahead):
        eventually(lambda: last_tick(app) > 0)
        Schedules(app).set("probe.work", "ana@loja.example", cron="30 * * * *")
        eventually(lambda: last_tick(app) == half_past.timestamp() * 1000)
    assert [tick.how for tick in app.queues.ticks("probe.work")] == ["fired"]
    assert len(app.queues.jobs("probe", JobState.WAITING).items) == 2


@pytest.mark.parametrize("off_h", [1, -1], ids=["an hour ahead", "an hour behind"])
def test_a_scheduler_whose_clock_is_an_hour_off_goes_by_redis(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path, off_h: int
) -> None:
    """Alone, then beside one whose clock is right: what is fired is the tick of this hour, once."""
    ready = tmp_path / "ready"
    ready.mkdir()
    app.queues.begin_schedule("probe.work", 1)
    before = clock.now()
    with ExitStack() as stack:
        for off_s in (off_h * 3600, 0):
            more = {"PROBE_CLOCK_OFF_S": str(off_s), "PROBE_READY": str(ready)}
            started = stack.enter_context(role("scheduler", home, redis_url, **more))
            eventually(lambda pid=started.pid: (ready / str(pid)).exists())
    this_hour = {int(at.replace(minute=0, second=0, microsecond=0).timestamp()) for at in (before, clock.now())}
    fired = [tick.tick.timestamp() for tick in app.queues.ticks("probe.work")]
    assert set(fired) <= this_hour
    assert len(fired) == len(set(fired)) >= 1


def test_workers_and_producers_whose_clocks_are_an_hour_off_rescue_and_promote_in_time(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases of 2 s, jobs that take longer, and delays: all by Redis's clock."""
    with (
        role("worker", home, redis_url, PROBE_CLOCK_OFF_S="3600"),
        role("worker", home, redis_url, PROBE_CLOCK_OFF_S="-3600"),
    ):
        eventually(lambda: len(app.queues.workers()) == 2)
        blocked = [app.enqueue("probe.block", {"folder": str(tmp_path)}) for _ in range(16)]
        eventually(lambda: app.queues.stats(["probe"])[0].active == len(blocked))
        held_since = time.monotonic()
        delayed = {}
        for off_s in (3600, -3600):
            with monkeypatch.context() as skewed:
                skewed.setattr(clock, "now", lambda off_s=off_s: datetime.now(UTC) + timedelta(seconds=off_s))
                soon = EnqueueOptions(delay=timedelta(seconds=1))
                asked = time.time()
                delayed[app.enqueue("probe.work", {"folder": str(tmp_path)}, soon)] = asked
        eventually(lambda: time.monotonic() - held_since > 3, saying="leases had to be renewed")
        (tmp_path / "go").touch()
        for job_id in (*blocked, *delayed):
            job = app.queues.wait(job_id, timedelta(seconds=90))
            assert (job.state, job.stalled_count, job.attempts_made) == (JobState.COMPLETED, 0, 1)
        for job_id, asked in delayed.items():
            (attempt,) = app.queues.attempts(job_id)
            assert attempt.started_at is not None
            assert 1 <= attempt.started_at.timestamp() - asked < 15


@pytest.fixture
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with lanes(tmp_path_factory.mktemp("schedulers"), 1) as (opened,):
        yield opened


@pytest.mark.parametrize(
    ("seconds", "pace"), [(6, 300), pytest.param(60, 300, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_five_schedulers_under_random_kills_fire_each_minute_once(
    lane: Lane, seed: int, seconds: float, pace: int
) -> None:
    """A minute takes 0.2 s; a kill every 0.2 s. What all missed is caught up or skipped, by the schedule's policy."""
    chance, first = random.Random(seed), datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    began = time.time()
    told = {
        FAST_CLOCK_VARIABLE: json.dumps([began, first.isoformat(), pace]),
        SINK_VARIABLE: str(lane.sink.path),
        TICKING_VARIABLE: "1",
    }
    for schedule in (MINUTELY, OFTEN_SKIPPED):
        lane.app.queues.begin_schedule(schedule, int(first.timestamp() * 1000))
    slots = [Slot.fill(lane, "fast_scheduler", number, told) for number in range(5)]
    worker = lane.role("worker")
    while time.time() - began < seconds:
        time.sleep(0.2)  # the pace of the kills is the fault itself
        chance.choice(slots).kill()
    last = first + timedelta(seconds=(time.time() - began) * pace)
    eventually(lambda: newest(lane, MINUTELY) >= last, 60, saying="all that was missed is caught up")
    eventually(lambda: all(slot.member.heeds_sigterm for slot in slots), 60, saying="who was started last is up")
    for slot in slots:
        slot.member.signal(signal.SIGTERM)
        assert slot.member.wait(90)
        assert slot.member.finished, slot.member.output()
    quiesced(lane.app.queues, 120)
    worker.kill()
    evidence = gather(lane.url, lane.sink)
    assert_invariants(evidence, saying=f"FLOWZZ_SEED={seed}")
    ran = [run.job_id for run in evidence.runs]
    minutes = int((newest(lane, MINUTELY) - first).total_seconds() // 60)
    planned = {name: {job_of(name, first + timedelta(minutes=n)) for n in range(1, minutes + 1)}
               for name in (MINUTELY, OFTEN_SKIPPED)}  # fmt: skip
    assert {job_id for job_id in ran if "minutely" in job_id} == planned[MINUTELY]
    assert {job_id for job_id in ran if "skipped" in job_id} <= planned[OFTEN_SKIPPED]
    assert len(ran) == len(set(ran)) > minutes, f"FLOWZZ_SEED={seed}"


def newest(lane: Lane, schedule: str) -> datetime:
    """The newest tick that anybody claimed."""
    return from_epoch_ms(lane.app.queues.schedule_states([schedule])[schedule].last_tick_ms or 0)


def job_of(schedule: str, tick: datetime) -> str:
    return f"{schedule.replace('.', '-')}-{int(tick.timestamp())}-0"

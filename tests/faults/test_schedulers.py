"""Scheduler processes side by side: a tick is fired once, and an edit is seen by those that run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.scheduling import Schedules
from flowzz.settings import Settings
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
            eventually(lambda pids=pids: pids <= {file.name for file in ready.iterdir()}, 30)
            tick_times.append(last_tick(app))
            for process in (one, two):
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0
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
        eventually(lambda: last_tick(app) > 0, 20)
        Schedules(app).set("probe.work", "ana@loja.example", cron="30 * * * *")
        eventually(lambda: last_tick(app) == half_past.timestamp() * 1000, 30)
    assert [tick.how for tick in app.queues.ticks("probe.work")] == ["fired"]
    assert len(app.queues.jobs("probe", JobState.WAITING).items) == 2

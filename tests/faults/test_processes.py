"""Processes that are killed, frozen or cut off: nothing is lost, and what runs twice is recorded."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.scheduling import Schedules
from flowzz.settings import Settings
from support.probe import plugin
from support.processes import role
from support.servers import start_valkey
from support.waiting import eventually

SOON = timedelta(seconds=30)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


def logged(folder: Path) -> list[str]:
    file = folder / "log"
    return [line.partition(" ")[2] for line in file.read_text().splitlines()] if file.exists() else []


def test_a_job_of_a_killed_worker_resumes_at_its_checkpoint(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.pages", {"folder": str(tmp_path), "pages": 50})
    with role("worker", home, redis_url) as worker:
        eventually(lambda: "page 3" in logged(tmp_path), 20)
        worker.kill()
        worker.wait()
    (tmp_path / "go").touch()
    with role("worker", home, redis_url):
        job = app.queues.wait(job_id, SOON)
    assert (job.state, job.stalled_count, job.attempts_made) == (JobState.COMPLETED, 1, 1)
    assert logged(tmp_path) == [f"page {n}" for n in range(1, 51)]
    assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["stalled", "completed"]


def test_a_job_that_kills_its_worker_each_time_fails_as_stalled(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    for run in (1, 2):
        with role("worker", home, redis_url) as worker:
            eventually(lambda run=run: logged(tmp_path).count("block 1") == run, 20)
            worker.kill()
            worker.wait()
    with role("worker", home, redis_url):
        job = app.queues.wait(job_id, SOON)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.type == "Stalled"


def test_a_frozen_workers_late_result_is_refused(app: Flowzz, home: Path, redis_url: str, tmp_path: Path) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    with role("worker", home, redis_url) as frozen:
        eventually(lambda: logged(tmp_path) == ["block 1"], 20)
        frozen.send_signal(signal.SIGSTOP)
        with role("worker", home, redis_url):
            eventually(lambda: logged(tmp_path) == ["block 1", "block 1"], 20)
            (tmp_path / "go").touch()
            job = app.queues.wait(job_id, SOON)
            first = app.queues.attempts(job_id)
            frozen.send_signal(signal.SIGCONT)
            frozen.send_signal(signal.SIGTERM)
            frozen.wait(20)
    assert job.state is JobState.COMPLETED
    assert app.queues.attempts(job_id) == first
    with redis.Redis.from_url(redis_url) as raw:
        events = b"\n".join(entry[b"events"] for _, entry in raw.xrange(keys.EVENTS()))
    assert b"late_commit_rejected|probe|" + job_id.encode() in events
    assert [attempt.outcome for attempt in first] == ["stalled", "completed"]


def test_a_terminated_worker_finishes_its_job_and_exits_0(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    with role("worker", home, redis_url) as worker:
        eventually(lambda: logged(tmp_path) == ["block 1"], 20)
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: app.queues.workers()[0].state == "stopping", 20)
        (tmp_path / "go").touch()
        assert worker.wait(20) == 0
    assert app.queues.job(job_id).state is JobState.COMPLETED


def test_past_the_grace_the_job_goes_back_and_the_worker_exits_1(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    with role("worker", home, redis_url, FLOWZZ_SHUTDOWN_GRACE="0.1") as worker:
        eventually(lambda: logged(tmp_path) == ["block 1"], 20)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 1
    job = app.queues.job(job_id)
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)


def test_a_worker_survives_a_restart_of_its_redis_and_loses_nothing(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "valkey"
    server = start_valkey(data, config={"appendonly": "yes"}, persist=True)
    url, port = f"redis://127.0.0.1:{server.port}/0", server.port
    settings = Settings.load(home=home, redis_url=url)
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as app:
        app.store.migrate()
        job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
        with role("worker", home, url, FLOWZZ_LEASE="20"):
            eventually(lambda: logged(tmp_path) == ["block 1"], 20)
            server.stop()
            (tmp_path / "go").touch()
            eventually(lambda: "unblocked" in logged(tmp_path), 20)
            assert not app.queues.ping()
            server = start_valkey(data, port=port, config={"appendonly": "yes"}, persist=True)
            assert eventually(lambda: app.queues.ping(), 20)
            job = app.queues.wait(job_id, SOON)
    server.stop()
    assert job.state is JobState.COMPLETED
    assert logged(tmp_path) == ["block 1", "unblocked"]


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
        f"probe.work.{tick // 1000}.{place}" for tick in tick_times for place in (0, 1)
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

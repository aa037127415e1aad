"""``flowzz worker`` as a process of its own: bursts, recycling, supervised processes, restarts that lose nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from flowzz.app import Flowzz
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.workers.ending import REPLACE_ME
from support.processes import environment
from support.shop import OF_THIS_HOUSE, install
from support.waiting import eventually
from support.working import noted

Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
TESTS = Path(__file__).parents[1]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of(["support.rough:plugin"])) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def start(app: Flowzz, home: Path, redis_url: str, tmp_path: Path) -> Start:
    """Start ``flowzz worker`` without a terminal; it is stopped at the end."""
    site = install(tmp_path / "site", entry="support.rough:plugin", name="rough")
    paths = os.pathsep.join([str(site), str(TESTS)])
    env = environment(home, redis_url, {"PYTHONPATH": paths, "FLOWZZ_DISABLED_PLUGINS": OF_THIS_HOUSE})

    @contextmanager
    def started(*words: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "flowzz.cli", "--quiet", "worker", *words]
        process = subprocess.Popen(command, env=env, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)

    return started


def enqueue(app: Flowzz, folder: Path, count: int) -> list[str]:
    return [app.enqueue("rough.quick", {"folder": str(folder)}) for _ in range(count)]


def states(app: Flowzz, ids: list[str]) -> list[JobState]:
    return [app.queues.job(job_id).state for job_id in ids]


def pids(app: Flowzz) -> set[int]:
    return {worker.pid for worker in app.queues.workers() if worker.state != "stopping"}


def test_queues_and_concurrency_are_as_asked(app: Flowzz, start: Start) -> None:
    with start("--queues", "rough, other", "--concurrency", "3"):
        (worker,) = eventually(app.queues.workers)
    assert (worker.queues, worker.concurrency) == (["rough", "other"], 3)


@pytest.mark.parametrize("words", [["--burst"], ["--burst", "--processes", "2"]])
def test_a_burst_ends_when_nothing_is_waiting_or_due(
    app: Flowzz, tmp_path: Path, start: Start, words: list[str]
) -> None:
    ids = enqueue(app, tmp_path, 20)
    later = app.enqueue("rough.quick", {"folder": str(tmp_path)}, EnqueueOptions(delay=timedelta(hours=1)))
    with start(*words) as process:
        assert process.wait(30) == 0
    assert set(states(app, ids)) == {JobState.COMPLETED}
    assert app.queues.job(later).state is JobState.DELAYED


def test_a_single_worker_asks_to_be_replaced_after_its_jobs(app: Flowzz, tmp_path: Path, start: Start) -> None:
    ids = enqueue(app, tmp_path, 5)
    with start("--max-jobs", "3", "--concurrency", "1") as process:
        assert process.wait(30) == REPLACE_ME
    assert sorted(states(app, ids)) == [JobState.COMPLETED] * 3 + [JobState.WAITING] * 2


def test_a_worker_that_takes_too_much_memory_is_replaced_and_loses_nothing(
    app: Flowzz, tmp_path: Path, start: Start
) -> None:
    blocked = app.enqueue("rough.neighbour", {"folder": str(tmp_path)})
    with start("--max-memory", "1") as process:
        eventually(lambda: [worker.state for worker in app.queues.workers()] == ["stopping"])
        (tmp_path / "go").touch()
        assert process.wait(30) == REPLACE_ME
    assert app.queues.job(blocked).state in (JobState.COMPLETED, JobState.WAITING)
    assert app.queues.job(blocked).stalled_count == 0


def test_recycled_processes_run_everything_once(app: Flowzz, tmp_path: Path, start: Start) -> None:
    ids = enqueue(app, tmp_path, 9)
    with start("--processes", "1", "--max-jobs", "4", "--concurrency", "1"):
        eventually(lambda: set(states(app, ids)) == {JobState.COMPLETED}, timeout=40)
    assert len(noted(tmp_path, "quick")) == len(ids)
    assert len(set(noted(tmp_path, "quick"))) == 3


def test_a_crashed_process_is_replaced(app: Flowzz, start: Start) -> None:
    with start("--processes", "2"):
        before = eventually(lambda: pids(app) if len(pids(app)) == 2 else None)
        assert before is not None
        os.kill(min(before), signal.SIGKILL)
        eventually(lambda: pids(app) - before)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_rolling_restart_loses_and_repeats_nothing(
    app: Flowzz, tmp_path: Path, start: Start, number: signal.Signals
) -> None:
    with start("--processes", "2", "--concurrency", "2") as process:
        before = eventually(lambda: pids(app) if len(pids(app)) == 2 else None)
        assert before is not None
        blocked = [app.enqueue("rough.neighbour", {"folder": str(tmp_path)}) for _ in range(3)]
        eventually(lambda: len(noted(tmp_path, "neighbour")) == 3)
        process.send_signal(number)
        eventually(lambda: "stopping" in {worker.state for worker in app.queues.workers()})
        ids = enqueue(app, tmp_path, 30)
        (tmp_path / "go").touch()
        eventually(lambda: len(pids(app)) == 2 and not pids(app) & before, timeout=30)
        eventually(lambda: set(states(app, [*blocked, *ids])) == {JobState.COMPLETED})
        assert process.poll() is None
    for job_id in (*blocked, *ids):
        assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["completed"]
    assert len(noted(tmp_path, "quick")) == len(ids)

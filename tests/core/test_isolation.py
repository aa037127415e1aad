"""Jobs in processes of their own: each way to die costs one attempt of one job, and neighbours finish undisturbed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.records import JobRecord
from flowzz.settings import Settings
from flowzz.workers import Worker
from flowzz.workers.wire import Boot
from support import rough
from support.engine import new_job
from support.processes import environment, role
from support.rough import Rough
from support.shop import install
from support.waiting import eventually
from support.working import noted, working


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    quick = settings.model_copy(update={"heartbeat": 0.1, "sweep": 0.1, "shutdown_grace": 5, "kill_grace": 0.3})
    with Flowzz.open(quick, plugins=PluginHost.of(["support.rough:plugin"])) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def worker(app: Flowzz) -> Iterator[Worker]:
    with working(app) as running:
        yield running


@pytest.fixture
def final(app: Flowzz) -> Callable[[str], JobRecord]:
    return lambda job_id: app.queues.wait(job_id, timedelta(seconds=90))


def message(job: JobRecord) -> str:
    assert job.error is not None
    return f"{job.error.type}: {job.error.message}"


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("rough.apart", "segfault", "JobCrashed: its process was ended by SIGSEGV"),
        ("rough.apart", "abort", "JobCrashed: its process was ended by SIGABRT"),
        ("rough.apart", "exit-0", "JobCrashed: its process exited with code 0 and without an outcome"),
        ("rough.apart", "exit-1", "JobCrashed: its process exited with code 1 and without an outcome"),
        ("rough.apart", "kill", "JobCrashed: its process was ended by SIGKILL; the kernel does so"),
        ("rough.apart", "raise", "ValueError: broken"),
        ("rough.greedy", "", "MemoryLimitExceeded: needed more than its memory_limit of 67,108,864 bytes"),
        ("rough.deaf", "", "JobTimeout: ran longer than its timeout of 0.6 s"),
        ("rough.deaf", "stubborn", "JobTimeout: ran longer than its timeout of 0.6 s, and was killed"),
    ],
)
def test_each_way_to_die_costs_one_attempt_of_one_job(
    app: Flowzz, worker: Worker, tmp_path: Path, final: Callable[[str], JobRecord], name: str, how: str, said: str
) -> None:
    folder = {"folder": str(tmp_path)}
    thread = app.enqueue("rough.neighbour", folder)
    process = app.enqueue("rough.apart", {**folder, "how": "wait"})
    eventually(lambda: noted(tmp_path, "neighbour") and noted(tmp_path, "apart"))
    ended = final(app.enqueue(name, {**folder, "how": how}))
    assert ended.state is JobState.FAILED
    assert message(ended).startswith(said)
    assert ended.attempts_made == 1
    assert [attempt.outcome for attempt in app.queues.attempts(ended.id)] == ["failed"]
    (tmp_path / "go").touch()
    assert [final(job_id).state for job_id in (thread, process)] == [JobState.COMPLETED] * 2
    assert [final(job_id).stalled_count for job_id in (thread, process)] == [0, 0]


def test_a_process_job_returns_its_result_and_reports_by_itself(
    app: Flowzz, worker: Worker, final: Callable[[str], JobRecord]
) -> None:
    done = final(app.enqueue("rough.apart", {"how": "report"}))
    assert done.state is JobState.COMPLETED
    assert done.result["pid"] != os.getpid()
    assert done.progress is not None
    assert (done.progress.percent, done.progress.note, done.checkpoint) == (40, "page 4/10", {"page": 4})
    assert [line.message for line in app.queues.log(done.id)] == ["from the child"]


def test_a_large_result_and_a_job_under_its_cap_arrive(
    app: Flowzz, worker: Worker, final: Callable[[str], JobRecord]
) -> None:
    big, modest = app.enqueue("rough.apart", {"how": "big"}), app.enqueue("rough.modest", {})
    assert final(big).result["bytes"] > 3_000_000  # it arrived whole, and was cut when it was stored
    assert final(modest).state is JobState.COMPLETED


def test_a_running_process_is_canceled_at_once_whatever_it_does(
    app: Flowzz, worker: Worker, tmp_path: Path, final: Callable[[str], JobRecord]
) -> None:
    job_id = app.enqueue("rough.apart", {"folder": str(tmp_path), "how": "loop"})
    (pid,) = eventually(lambda: noted(tmp_path, "apart"))
    app.queues.cancel(job_id, "wrong company")
    assert final(job_id).state is JobState.CANCELED
    eventually(lambda: gone(pid))


def test_what_a_job_started_ends_with_it(
    app: Flowzz, worker: Worker, tmp_path: Path, final: Callable[[str], JobRecord]
) -> None:
    job_id = app.enqueue("rough.apart", {"folder": str(tmp_path), "how": "grandchild"})
    assert final(job_id).state is JobState.COMPLETED
    line = next(line for line in (tmp_path / "log").read_text().splitlines() if "grandchild" in line)
    eventually(lambda: gone(int(line.split()[2])))


def test_a_process_is_told_that_its_worker_stops(
    app: Flowzz, tmp_path: Path, final: Callable[[str], JobRecord]
) -> None:
    with working(app):
        job_id = app.enqueue("rough.apart", {"folder": str(tmp_path), "how": "wait"})
        eventually(lambda: noted(tmp_path, "apart"))
    assert final(job_id).result["stopping"] is True


def test_a_process_that_outlasts_the_stop_is_killed_before_its_job_goes_back(app: Flowzz, tmp_path: Path) -> None:
    hasty = Flowzz(app.settings.model_copy(update={"shutdown_grace": 0.05}), app.plugins, app.store, app.queues)
    with working(hasty):
        job_id = app.enqueue("rough.apart", {"folder": str(tmp_path), "how": "loop"})
        (pid,) = eventually(lambda: noted(tmp_path, "apart"))
    assert gone(pid)
    job = app.queues.job(job_id)
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)


def test_processes_die_with_a_killed_worker_and_their_jobs_run_again(app: Flowzz, home: Path, tmp_path: Path) -> None:
    url = app.settings.resolve_redis_url()
    assert url is not None
    with role("worker", home, url, PROBE_PLUGIN="rough") as process:
        job_id = app.enqueue("rough.apart", {"folder": str(tmp_path), "how": "wait"})
        (pid,) = eventually(lambda: noted(tmp_path, "apart"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: gone(pid), saying="the job's process outlived its worker")
    with role("worker", home, url, PROBE_PLUGIN="rough"):
        eventually(lambda: len(noted(tmp_path, "apart")) == 2)
        (tmp_path / "go").touch()
        assert app.queues.wait(job_id, timedelta(seconds=90)).state is JobState.COMPLETED
    assert app.queues.job(job_id).stalled_count == 1


def test_the_worker_survives_the_death_of_its_nursery(
    app: Flowzz, worker: Worker, tmp_path: Path, final: Callable[[str], JobRecord]
) -> None:
    job_id = app.enqueue("rough.apart", {"folder": str(tmp_path), "how": "loop"})
    (pid,) = eventually(lambda: noted(tmp_path, "apart"))
    os.kill(parent(pid), signal.SIGKILL)
    assert "the helper that starts the processes of jobs died" in message(final(job_id))
    eventually(lambda: gone(pid))
    assert final(app.enqueue("rough.apart", {})).state is JobState.COMPLETED


def test_the_nursery_is_told_every_setting_and_none_is_to_be_seen_from_outside(
    redis_url: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Settings.load(home=home, redis_url=redis_url, secret_key="s3cret" * 8, concurrency=1, public_url="https://x")
    monkeypatch.setenv("FLOWZZ_SECRET_KEY", "environment" * 4)
    monkeypatch.setenv("FLOWZZ_CONCURRENCY", "7")
    monkeypatch.setenv("FLOWZZ_QUEUES", "elsewhere")
    with Flowzz.open(told, plugins=PluginHost.of(["support.rough:plugin"])) as app:
        app.store.migrate()
        boot = Boot.of(app)
        again = Boot.read(boot.dump())
        assert again.settings.model_dump() == told.model_dump()
        assert again.plugins == ("support.rough:plugin",)
        assert "s3cret" not in f"{again!r}{boot!r}"
        with working(app):
            app.enqueue("rough.apart", {"folder": str(tmp_path), "how": "wait"})
            (pid,) = eventually(lambda: noted(tmp_path, "apart"))
            nursery = parent(pid)
            for process in (pid, nursery, parent(nursery)):
                for shown in ("cmdline", "environ"):
                    assert b"s3cret" not in Path(f"/proc/{process}/{shown}").read_bytes()
            (tmp_path / "go").touch()


def test_a_plugin_that_another_process_cannot_find_is_refused_before_any_job_runs(settings: Settings) -> None:
    with (
        Flowzz.open(settings, plugins=PluginHost.of([rough.plugin])) as app,
        pytest.raises(ConfigurationError, match=r"plugin 'rough' has jobs with processes .* as 'module:attribute'"),
    ):
        Worker(app)


@pytest.mark.parametrize("reference", ["support.rough", "support.rough:nothing", "no.such:plugin", "", "a b:c"])
def test_a_reference_to_no_plugin_is_refused(reference: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(reference))):
        PluginHost.of([reference])


def test_a_plugin_that_starts_threads_while_it_is_imported_is_named(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    log = home / "logs" / "combined.log"
    with role("worker", home, redis_url, PROBE_PLUGIN="threaded"):
        plain = new_job("a", queue="threaded")
        app.queues.transitions.enqueue([replace(plain, envelope=replace(plain.envelope, job="threaded.apart"))])
        assert app.queues.wait("a", timedelta(seconds=90)).state is JobState.COMPLETED
    (line,) = [line for line in map(json.loads, log.read_text("utf-8").splitlines()) if line.get("plugin")]
    assert (line["level"], line["plugin"], line["threads"]) == ("warning", "threaded", ["busybody"])
    assert "processes of jobs are forked beside them" in line["event"]

    site = install(tmp_path / "site", entry="support.threaded:plugin", name="threaded")
    paths = os.pathsep.join([str(site), str(Path(__file__).parents[1])])
    environ = environment(home, redis_url, {"PYTHONPATH": paths, "COLUMNS": "200"})

    def flowzz(*words: str) -> str:
        command = [sys.executable, "-m", "flowzz.cli", *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout

    assert "starts threads while it is imported: busybody" in flowzz("plugins", "list")
    assert "busybody (started while it was imported)" in flowzz("plugins", "show", "threaded")


def test_nothing_here_can_load_a_pickle() -> None:
    loaders = re.compile(r"^\s*(?:import|from)\s+(?:c?pickle|shelve|dill|cloudpickle|marshal)\b", re.MULTILINE)
    root = Path(__file__).parents[2]
    read = [path for room in ("core", "web", "plugins") for path in (root / room).rglob("*.py")]
    assert len(read) > 100
    assert [str(path) for path in read if loaders.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"isolation": "fork"}, "expected isolation to be 'thread' or 'process', got 'fork'"),
        ({"memory_limit": 1}, "memory_limit needs isolation='process'"),
        ({"isolation": "process", "memory_limit": 0}, "expected memory_limit to be bytes, 1 or more, got 0"),
    ],
)
def test_an_isolation_that_makes_no_sense_is_refused(options: dict[str, Any], problem: str) -> None:
    def handler(ctx: JobContext, data: Rough) -> None:
        """Never runs."""

    with pytest.raises(ConfigurationError, match=problem):
        job("rough.wrong", queue="rough", **options)(handler)

"""A stock ``rq worker`` runs our jobs; jobs of a plain ``rq.Queue`` run on ours; anything else is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer, PickleSerializer

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.fields import ENTRY
from flowzz.settings import Settings
from flowzz.workers import Worker
from support.probe import plugin
from support.processes import environment

SOON = timedelta(seconds=90)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


@contextmanager
def working(app: Flowzz) -> Iterator[None]:
    worker = Worker(app)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(20)


def installed_probe(folder: Path) -> str:
    """The probe plugin as an installed distribution: a PYTHONPATH under which its entry point is found."""
    info = folder / "flowzz_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: flowzz-probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flowzz.plugins]\nprobe = support.probe:plugin\n")
    return os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])


def run_stock_worker(home: Path, redis_url: str, python_path: str) -> None:
    rq = str(Path(sys.executable).with_name("rq"))
    command = [rq, "worker", "--url", redis_url, "--serializer", "json", "--burst", "probe"]
    env = environment(home, redis_url, {"PYTHONPATH": python_path})
    subprocess.run(command, env=env, check=True, timeout=60, capture_output=True)


def test_a_stock_rq_worker_runs_our_job_and_we_read_its_result(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    good = app.enqueue("probe.work", {"empresaId": "loja-1"})
    bad = app.enqueue("probe.work", {"raises": "permanent"})
    run_stock_worker(home, redis_url, installed_probe(tmp_path))
    done, failed = app.queues.job(good), app.queues.job(bad)
    assert (done.state, done.result) == (JobState.COMPLETED, {"pages": 0, "attempt": 1})
    assert [line.message for line in app.queues.log(good)] == ["attempt 1"]
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.type.endswith("Permanent")
    assert [attempt.outcome for attempt in app.queues.attempts(bad)] == ["failed"]


def test_our_worker_runs_what_a_plain_rq_queue_enqueued(app: Flowzz, raw: redis.Redis) -> None:
    queue = Queue("probe", connection=raw, serializer=JSONSerializer)
    with working(app):
        positional = queue.enqueue(ENTRY, args=("probe.work", {}))
        named = queue.enqueue(ENTRY, kwargs={"job": "probe.work", "payload": {}})
        later = queue.enqueue_in(timedelta(milliseconds=100), ENTRY, "probe.work", {})
        for job in (positional, named, later):
            assert app.queues.wait(job.id, SOON).result == {"pages": 0, "attempt": 1}
    assert positional.return_value() == {"pages": 0, "attempt": 1}


def test_any_other_callable_is_refused_and_never_imported(app: Flowzz, raw: redis.Redis, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    queue = Queue("probe", connection=raw, serializer=JSONSerializer)
    with working(app):
        ids = [queue.enqueue(name, str(marker)).id for name in ("os.mkdir", "builtins.eval")]
        for job_id in ids:
            job = app.queues.wait(job_id, SOON)
            assert job.state is JobState.FAILED
            assert job.error is not None
            assert f"only {ENTRY} is run" in job.error.message
    assert not marker.exists()


class Trap:
    """Unpickling this makes a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


def test_a_pickled_job_is_refused_with_its_reason_and_never_loaded(
    app: Flowzz, raw: redis.Redis, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    queue = Queue("probe", connection=raw, serializer=PickleSerializer)
    job_id = queue.enqueue(ENTRY, args=("probe.work", Trap(str(marker)))).id
    raw.hset("rq:job:raw", mapping={"data": pickle.dumps(Trap(str(marker))), "status": "queued", "origin": "probe"})
    raw.rpush("rq:queue:probe", "raw")
    with working(app):
        for refused in (job_id, "raw"):
            job = app.queues.wait(refused, SOON)
            assert job.state is JobState.FAILED
            assert job.error is not None
            assert "it is pickled" in job.error.message
    assert not marker.exists()

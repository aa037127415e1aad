"""Redis is full (maxmemory with noeviction): enqueue is refused as a whole, running jobs go on and settle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import structlog

from flowzz.app import Flowzz
from flowzz.errors import QueueUnavailable
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.settings import Settings
from flowzz.workers import Worker
from support.probe import plugin
from support.servers import start_valkey
from support.waiting import eventually

FULL = "Redis is out of memory and refuses writes; raise maxmemory or remove finished jobs"


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[redis.Redis]:
    """A Valkey of the test's own, since it is filled."""
    server = start_valkey(tmp_path / "own-valkey")
    try:
        with redis.Redis(host=server.host, port=server.port) as client:
            yield client
    finally:
        server.stop()


@pytest.fixture
def app(raw: redis.Redis, home: Path) -> Iterator[Flowzz]:
    at = raw.connection_pool.connection_kwargs
    settings = Settings.load(home=home, redis_url=f"redis://{at['host']}:{at['port']}/0", lease=2, heartbeat=0.2)
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


def fill(raw: redis.Redis) -> None:
    """Nothing more fits."""
    raw.config_set("maxmemory-policy", "noeviction")
    raw.config_set("maxmemory", "1")


def relieve(raw: redis.Redis) -> None:
    raw.config_set("maxmemory", "0")


def everything(raw: redis.Redis) -> dict[bytes, int]:
    return {key: raw.memory_usage(key) or 0 for key in sorted(raw.keys("*"))}


def test_an_enqueue_is_refused_as_a_whole_with_the_remedy(app: Flowzz, raw: redis.Redis) -> None:
    first = app.enqueue("probe.work", {}, EnqueueOptions(unique_key="k"))
    before = everything(raw)
    fill(raw)
    with pytest.raises(QueueUnavailable, match=FULL):
        app.enqueue("probe.work", {})
    with pytest.raises(QueueUnavailable, match=FULL):
        app.enqueue_many([("probe.work", {}, EnqueueOptions(unique_key=key)) for key in "xyz"])
    raw.delete(keys.JOB(first))
    del before[keys.JOB(first).encode()]
    with pytest.raises(QueueUnavailable, match=FULL):
        app.enqueue("probe.work", {}, EnqueueOptions(unique_key="k"))
    assert everything(raw) == before
    relieve(raw)
    assert app.submit("probe.work", {}, EnqueueOptions(unique_key="k")).created


def test_running_jobs_keep_their_lease_settle_and_waiting_ones_run(
    app: Flowzz, raw: redis.Redis, tmp_path: Path
) -> None:
    running = app.enqueue("probe.block", {"folder": str(tmp_path)})
    waiting = app.enqueue("probe.work", {})
    worker = Worker(app, concurrency=1)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        eventually((tmp_path / "log").exists)
        fill(raw)
        execution = raw.zrange(keys.WIP("probe"), 0, 0)[0]
        ends = raw.zscore(keys.WIP("probe"), execution) or 0
        eventually(
            lambda: (raw.zscore(keys.WIP("probe"), execution) or 0) > ends + 2, saying="renewed past its first end"
        )
        (tmp_path / "go").touch()
        assert app.queues.wait(running, timedelta(seconds=90)).state is JobState.COMPLETED
        assert app.queues.wait(waiting, timedelta(seconds=90)).state is JobState.COMPLETED
        assert app.queues.job(running).attempts_made == 1
    finally:
        relieve(raw)
        worker.stop()
        thread.join(20)


def test_a_worker_warns_of_a_policy_that_would_evict_jobs(app: Flowzz, raw: redis.Redis) -> None:
    assert app.queues.memory_problem() is None
    raw.config_set("maxmemory-policy", "allkeys-lru")
    problem = app.queues.memory_problem()
    assert problem is not None
    assert "maxmemory-policy is allkeys-lru" in problem
    assert "noeviction" in problem
    worker = Worker(app, concurrency=1)
    with structlog.testing.capture_logs() as lines:
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            warned = eventually(lambda: [line for line in lines if line.get("problem")])
        finally:
            worker.stop()
            thread.join(20)
    assert (warned[0]["log_level"], warned[0]["problem"]) == ("warning", problem)

"""What the contract's tests share: plain RQ on one side, Flowzz with the probe plugin on the other."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.workers import Worker
from support.probe import plugin

Fetch = Callable[[str], Job]
Work = Callable[[], AbstractContextManager[Worker]]


@pytest.fixture
def app(home: Path, redis_url: str) -> Iterator[Flowzz]:
    settings = Settings.load(home=home, redis_url=redis_url, heartbeat=0.2, lease=5, sweep=0.2, shutdown_grace=10)
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def theirs(raw: redis.Redis) -> Queue:
    """Plain RQ's queue ``probe``."""
    return Queue("probe", connection=raw, serializer=JSONSerializer)


@pytest.fixture
def fetch(raw: redis.Redis) -> Fetch:
    def job(job_id: str) -> Job:
        return Job.fetch(job_id, connection=raw, serializer=JSONSerializer)

    return job


@pytest.fixture
def working(app: Flowzz) -> Work:
    """A worker of ours that runs as long as the block."""

    @contextmanager
    def work() -> Iterator[Worker]:
        worker = Worker(app)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(20)

    return work


@pytest.fixture
def rq(redis_url: str) -> Callable[..., str]:
    """Runs plain RQ's command line in a process of its own; returns what it prints."""

    def run(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("rq")), *arguments[:1], "--url", redis_url, *arguments[1:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    return run

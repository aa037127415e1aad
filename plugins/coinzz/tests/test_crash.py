"""A worker process is killed in the middle of a sync; the next one ends it, and every order is there once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.settings import Settings
from flowzz_coinzz.models import MIGRATIONS
from support.waiting import eventually

PAGES = 50
KILLED_AFTER = 20
MOST_PAGES_BETWEEN_KILLS = 3
PATIENT = "30"
UNLIKE = ("company_id", "pull_run", "first_seen_at", "updated_at", "state_arrived_at")
"""What two companies' rows of the same order differ in: whose they are, which run saw them, and when."""


@contextmanager
def worker(settings: Settings, redis_url: str, lease: str = "2") -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own that notices a dead one within two seconds.

    The one that takes over, and is not to die, has a ``lease`` that outlasts a busy machine.
    """
    environment = {
        **os.environ,
        "FLOWZZ_HOME": str(settings.home),
        "REDIS_URL": redis_url,
        "FLOWZZ_LEASE": lease,
        "FLOWZZ_HEARTBEAT": "0.5",
        "FLOWZZ_SWEEP": "0.5",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "flowzz.cli", "worker"], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=40)


def test_a_killed_worker_loses_nothing(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any]
) -> None:
    with Flowzz.open(settings) as flowzz:
        flowzz.store.migrate([MIGRATIONS])
        company = connected(flowzz.store, upstream.url)
        numbers = upstream.seed(PAGES * 10)
        upstream.faults(slow={"delay": 0.05})
        job_id = flowzz.enqueue("coinzz.sync_sales", {"empresaId": company.id})

        with worker(settings, redis_url) as first:
            pause = threading.Event()
            while len(upstream.stats()["byPage"]) < KILLED_AFTER:
                assert first.poll() is None
                pause.wait(0.05)
            first.send_signal(signal.SIGKILL)
            first.wait(timeout=10)
        assert 0 < len(company.orders()) < len(numbers)

        with worker(settings, redis_url, PATIENT):
            record = flowzz.queues.wait(job_id, timedelta(seconds=60))

        assert (record.state, record.result) == (JobState.COMPLETED, {"synced": len(numbers), "errors": 0})
        assert record.stalled_count == 1
        assert sorted(company.orders()) == sorted(numbers)
        assert set(Counter(event["order_number"] for event in company.events()).values()) == {1}
        asked = upstream.stats()["byPage"]
        assert sorted(asked, key=int) == [str(page) for page in range(1, PAGES + 1)]
        again = [page for page, times in asked.items() if times > 1]
        assert len(again) <= 2, "only the page it was killed at, and the one read ahead, are asked for again"


def rows(company: Any) -> dict[str, dict[str, Any]]:
    return {
        number: {name: value for name, value in row.items() if name not in (*UNLIKE, "id")}
        for number, row in company.orders().items()
    }


def kill_in_a_sync(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any], kills: int
) -> None:
    with Flowzz.open(settings) as flowzz:
        flowzz.store.migrate([MIGRATIONS])
        numbers = upstream.seed((kills + 2) * MOST_PAGES_BETWEEN_KILLS * 10)
        undisturbed = connected(flowzz.store, upstream.url)
        undisturbed.sync()
        company = connected(flowzz.store, upstream.url)
        upstream.faults(slow={"delay": 0.02})
        job_id = flowzz.enqueue("coinzz.sync_sales", {"empresaId": company.id})
        dice = random.Random(20261126)
        for _ in range(kills):
            before = upstream.stats()["calls"]
            wanted = before + dice.randint(1, MOST_PAGES_BETWEEN_KILLS)
            with worker(settings, redis_url) as process:
                eventually(lambda wanted=wanted: upstream.stats()["calls"] >= wanted)
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=10)
        assert not flowzz.queues.job(job_id).state.is_final, "it was killed in the middle, each time"
        with worker(settings, redis_url, PATIENT):
            record = flowzz.queues.wait(job_id, timedelta(seconds=120))

        assert (record.state, record.result) == (JobState.COMPLETED, {"synced": len(numbers), "errors": 0})
        assert record.stalled_count > 0
        assert rows(company) == rows(undisturbed)
        assert set(Counter(event["order_number"] for event in company.events()).values()) == {1}


def test_a_sync_killed_at_random_ends_with_the_same_rows(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any]
) -> None:
    kill_in_a_sync(settings, redis_url, upstream, connected, kills=2)


@pytest.mark.long
def test_a_sync_killed_twenty_times_ends_with_the_same_rows(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any]
) -> None:
    kill_in_a_sync(settings, redis_url, upstream, connected, kills=20)

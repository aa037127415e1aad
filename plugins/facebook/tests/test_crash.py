"""Worker processes are killed at random in the middle of a sync; the rows are those of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz_facebook.models import MIGRATIONS
from flowzz_facebook.plugin import plugin
from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT
from support.processes import environment
from support.waiting import eventually

MOST_CALLS_BETWEEN_KILLS = 4
SMALL_PAGES = {"page_size": 5, "insights_page_size": 40, "poll_seconds": 0.1}


@contextmanager
def worker(settings: Settings, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own that notices a dead one within two seconds."""
    run = environment(settings.home, redis_url, {"FLOWZZ_DISABLED_PLUGINS": "coinzz,report,whatsapp"})
    process = subprocess.Popen([sys.executable, "-m", "flowzz.cli", "worker"], env=run, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=20)


def kill_in_a_sync(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any], kills: int
) -> None:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as flowzz:
        flowzz.store.migrate([MIGRATIONS])
        upstream.seed(campaigns=4, ad_sets=2, ads=6)
        undisturbed = connected(flowzz.store, upstream.url)
        undisturbed.sync()
        company = connected(flowzz.store, upstream.url, **SMALL_PAGES)
        upstream.faults(slow_headers={"delay": 0.02})
        payload = {"empresaId": company.id, "adAccountId": FIRST_ACCOUNT}
        job_id = flowzz.enqueue("facebook.sync_campaigns", payload)
        dice = random.Random(20261125)
        killed = 0
        while killed < kills:
            before = upstream.stats()["calls"]
            wanted = before + dice.randint(1, MOST_CALLS_BETWEEN_KILLS)
            with worker(settings, redis_url) as process:
                eventually(lambda wanted=wanted: upstream.stats()["calls"] >= wanted, 60)
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=10)
            killed += 1
        assert not flowzz.queues.job(job_id).state.is_final, "it was killed in the middle, each time"
        with worker(settings, redis_url):
            record = flowzz.queues.wait(job_id, timedelta(seconds=90))

        assert record.state is JobState.COMPLETED, record.error
        assert record.stalled_count > 0
        assert company.everything() == undisturbed.everything()
        assert upstream.stats()["calls"] > kills


def test_a_sync_killed_at_random_ends_with_the_same_rows(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any]
) -> None:
    kill_in_a_sync(settings, redis_url, upstream, connected, kills=4)


@pytest.mark.long
def test_a_sync_killed_twenty_times_ends_with_the_same_rows(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any]
) -> None:
    kill_in_a_sync(settings, redis_url, upstream, connected, kills=20)

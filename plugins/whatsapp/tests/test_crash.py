"""A worker is killed between the request and its settle: never sent twice, flagged as unknown, reconciled."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.settings import Settings
from flowzz_whatsapp.models import MIGRATIONS
from support.waiting import eventually

PATIENT = "30"
ANA = "+5511987654321"
WITHIN = timedelta(seconds=60)


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


@pytest.mark.parametrize("times", range(3))
def test_a_send_killed_between_request_and_settle_is_reconciled(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any], posting: Any, times: int
) -> None:
    with Flowzz.open(settings) as flowzz:
        flowzz.store.migrate([MIGRATIONS])
        company = connected(flowzz.store, upstream.url)
        upstream.faults(slow={"delay": 30, "times": 1}, late={"times": 1})
        job_id = flowzz.enqueue("whatsapp.send_message", {"empresaId": company.id, "to": ANA, "message": "oi"})

        with worker(settings, redis_url) as first:
            eventually(lambda: upstream.phones().get(ANA))
            assert first.poll() is None
            first.send_signal(signal.SIGKILL)
            first.wait(timeout=10)
        assert company.message()["state"] == "sending"

        with worker(settings, redis_url, PATIENT), posting(company) as url:
            eventually(lambda: company.message()["state"] == "unknown")
            upstream.settings(webhook_url=url)
            upstream.control("webhooks/release")
            record = flowzz.queues.wait(job_id, WITHIN)

        (received,) = upstream.phones()[ANA]
        assert record.state is JobState.COMPLETED
        assert record.result["messageId"] == received["wamid"]
        assert record.stalled_count == 1
        row = company.message()
        assert (row["state"], row["message_id"], row["attempts"]) == ("read", received["wamid"], 1)


def test_a_send_killed_before_anybody_read_it_is_unknown_too(
    settings: Settings, redis_url: str, connected: Callable[..., Any]
) -> None:
    """From our side the two look alike: it is flagged, and sent again by nobody but a person."""
    with socket.create_server(("127.0.0.1", 0)) as deaf, Flowzz.open(settings) as flowzz:
        flowzz.store.migrate([MIGRATIONS])
        company = connected(flowzz.store, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        job_id = flowzz.enqueue("whatsapp.send_message", {"empresaId": company.id, "to": ANA, "message": "oi"})
        with worker(settings, redis_url) as first:
            eventually(company.messages)
            first.send_signal(signal.SIGKILL)
            first.wait(timeout=10)
        with worker(settings, redis_url, PATIENT):
            eventually(lambda: company.message()["state"] == "unknown")
            eventually(lambda: flowzz.queues.job(job_id).state is JobState.DELAYED)
        assert company.message()["attempts"] == 1


def test_workers_killed_at_random_send_nothing_twice(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any], posting: Any
) -> None:
    """Whoever was reached was reached once and is told so; whoever was not is waiting or flagged, never forgotten."""
    chance = random.Random(5)
    with Flowzz.open(settings) as flowzz:
        flowzz.store.migrate([MIGRATIONS])
        company = connected(flowzz.store, upstream.url)
        with posting(company) as url:
            upstream.settings(webhook_url=url, rate=None, status_delay=[0.5, 1.5])
            upstream.faults(slow={"delay": 0.3})
            numbers = [f"+55119876500{place:02d}" for place in range(40)]
            jobs = {
                number: flowzz.enqueue(
                    "whatsapp.send_message", {"empresaId": company.id, "to": number, "message": "oi"}
                )
                for number in numbers
            }
            for _ in range(3):
                with worker(settings, redis_url) as victim:
                    seen = len(upstream.phones())
                    eventually(lambda seen=seen: len(upstream.phones()) > min(seen + chance.randrange(6), 38))
                    victim.send_signal(signal.SIGKILL)
                    victim.wait(timeout=10)
            with worker(settings, redis_url, PATIENT):
                eventually(lambda: settled(company, upstream, numbers), timeout=120)
                eventually(
                    lambda: all(
                        flowzz.queues.job(jobs[number]).state is JobState.COMPLETED for number in upstream.phones()
                    ),
                    timeout=90,
                )
        assert {len(received) for received in upstream.phones().values()} == {1}
        flagged = [row for row in company.messages() if row["recipient"] not in upstream.phones()]
        assert {row["state"] for row in flagged} <= {"unknown"}
        assert max(row["attempts"] for row in company.messages()) == 1


def settled(company: Any, upstream: Any, numbers: list[str]) -> bool:
    """Every number has a row, and what reached its phone is read."""
    states = {row["recipient"]: row["state"] for row in company.messages()}
    reached = upstream.phones()
    return set(states) == set(numbers) and all(
        states[number] == ("read" if number in reached else "unknown") for number in numbers
    )

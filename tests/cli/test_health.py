"""``flowzz health``: what it warns of beside the queues, which alone decide its exit code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flowzz import clock
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.settings import Settings
from flowzz.store import Store

from .conftest import Cli

NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture
def store(connected: Cli, home: Path) -> Iterator[Store]:
    opened = Store.open(Settings.load(home=home))
    yield opened
    opened.close()


def connect(store: Store, company: str = "Loja Azul", label: str = "Main shop") -> Connection:
    made, _token = store.add_connection(store.add_company(company).id, "shop", label, {}, {})
    return made


def warnings(cli: Cli) -> list[str]:
    """What a healthy report warns of."""
    result = cli("health")
    assert result.exit_code == 0, result.output
    return result.stderr.splitlines()


def test_refused_and_paused_connections_are_named_and_change_no_exit_code(
    connected: Cli, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(store)
    paused, refused = connect(store, "Loja Bia", "Second shop"), connect(store, "Loja Caju")
    assert warnings(connected) == []
    store.set_connection_state(paused.id, ConnectionState.PAUSED, "holidays")
    store.set_connection_state(refused.id, ConnectionState.NEEDS_CREDENTIALS, "401 from the shop")
    later = clock.now() + timedelta(hours=3, minutes=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    first = "shop connection 'Main shop' of Loja Caju has needed new credentials for 3 h (401 from the shop)"
    second = "shop connection 'Second shop' of Loja Bia has been paused for 3 h (holidays)"
    lines = [
        f"Warning: {first}: flowzz connections update {refused.id}",
        f"Warning: {second}: flowzz connections resume {paused.id}",
    ]
    assert warnings(connected) == lines
    connected.env["REDIS_URL"] = NO_REDIS
    without_redis = connected("health")
    assert without_redis.exit_code == 1
    assert "Redis not connected" in without_redis.stdout
    assert without_redis.stderr.splitlines() == lines


def test_the_json_lists_them_beside_the_public_report(connected: Cli, store: Store) -> None:
    connect(store)
    healthy = connected.json("health")
    assert (healthy["status"], healthy["connections"], healthy["warnings"]) == ("healthy", [], [])
    one = connect(store, "Loja Caju")
    store.set_connection_state(one.id, ConnectionState.NEEDS_CREDENTIALS, "401")
    since = store.connection_by_id(one.id).state_since
    assert since is not None
    report = connected.json("health")
    assert report["status"] == "healthy"
    (shown,) = report["connections"]
    assert shown == {
        "id": one.id, "plugin": "shop", "companyId": one.company_id, "company": "Loja Caju", "label": "Main shop",
        "state": "needs_credentials", "stateReason": "401", "stateSince": shown["stateSince"],
    }  # fmt: skip
    assert shown["stateSince"][:19] == since.isoformat()[:19]
    (warning,) = report["warnings"]
    assert "Loja Caju has needed new credentials for" in warning


def test_of_many_the_oldest_refused_are_named_and_the_rest_counted(connected: Cli, store: Store) -> None:
    made = [connect(store, f"Loja {number}") for number in range(23)]
    store.set_connection_state(made[0].id, ConnectionState.PAUSED, None)
    for one in made[1:]:
        store.set_connection_state(one.id, ConnectionState.NEEDS_CREDENTIALS, "401")
    *told, more = warnings(connected)
    assert [line.rpartition(" ")[2] for line in told] == [one.id for one in made[1:21]]
    assert more == "Warning: 3 more connections are not active: flowzz connections list"
    assert len(connected.json("health")["connections"]) == 23


def test_an_upstreams_words_stay_on_one_line_and_are_cut(connected: Cli, store: Store) -> None:
    reason = "no\x1b[2J\nWarning: all is well\r\u202e" + "x" * 500
    store.set_connection_state(connect(store).id, ConnectionState.NEEDS_CREDENTIALS, reason)
    (line,) = warnings(connected)
    assert "(no\ufffd[2J Warning: all is well xxx" in line
    assert len(line) < 400


def test_a_database_that_cannot_tell_is_said(cli: Cli, redis_url: str) -> None:
    cli.env["REDIS_URL"] = redis_url
    (line,) = warnings(cli)
    assert line.startswith("Warning: the state of connections is not known: the database is not up to date")
    assert line.endswith("run `flowzz migrate`")
    assert cli.json("health")["connections"] is None
    cli.env["DATABASE_URL"] = "postgresql://flowzz:pass-4711@127.0.0.1:1/flowzz"
    said = " ".join(warnings(cli))
    assert said.startswith("Warning: the state of connections is not known: the database cannot be used")
    assert "pass-4711" not in said


SET_IT = "set it right (meanwhile schedules go by that of Redis)"


@pytest.mark.parametrize(
    ("off_s", "said"), [(-30, "30 s behind that of Redis"), (300, "5 min ahead of that of Redis"), (1, None)]
)
def test_a_wrong_clock_is_told_while_redis_answers(
    connected: Cli, monkeypatch: pytest.MonkeyPatch, off_s: int, said: str | None
) -> None:
    monkeypatch.setattr(clock, "machine_s", lambda: time.time() + off_s)
    lines = warnings(connected)
    assert lines == ([] if said is None else [f"Warning: this machine's clock is {said}; {SET_IT}"])
    connected.env["REDIS_URL"] = NO_REDIS
    assert connected("health").stderr == ""

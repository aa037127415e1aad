"""A real database, a real sandbox over HTTP, and the smallest thing that can run a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Table, select

from flowzz.jobs.connection import Connection
from flowzz.jobs.context import JobContext
from flowzz.plugins.contributions import WebhookReply, WebhookRequest
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_coinzz.models import MIGRATIONS, events, orders
from flowzz_coinzz.sandbox.demo import connection_fields
from flowzz_coinzz.sandbox.routes import sandbox_blueprint
from flowzz_coinzz.sync import SyncedSales, SyncSales, sync_sales
from flowzz_coinzz.webhooks import receive
from support.plugging import Queue, Recorder, serving_sandbox


@dataclass
class Upstream:
    """The sandbox at work; each method is one call over HTTP."""

    url: str
    http: httpx.Client

    def control(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        response = self.http.request(method, f"{self.url}/_control/{path}", json=dict(body or {}))
        assert response.status_code == 200, response.text
        return response.json()

    def seed(self, count: int, per_page: int = 10) -> list[str]:
        numbers: list[str] = self.control("seed", {"orders": count, "per_page": per_page})["orders"]
        return numbers

    def faults(self, **wanted: Any) -> None:
        self.control("faults", wanted, "PUT")

    def settings(self, **wanted: Any) -> None:
        self.control("settings", wanted, "PUT")

    def stats(self) -> Any:
        return self.control("stats", method="GET")


@dataclass
class Company:
    """A company with a Coinzz connection, and what its tests look at."""

    store: Store
    connection: Connection
    token: str

    @property
    def id(self) -> str:
        return self.connection.company_id

    def context(self, reporter: Recorder | None = None, job: str = "coinzz.sync_sales") -> JobContext:
        recorder = reporter or Recorder()
        return JobContext(
            job_id="job",
            job_name=job,
            queue="sync-coinzz",
            company_id=self.id,
            attempt=1,
            max_attempts=3,
            worker="test",
            store=self.store,
            host=Queue(),
            reporter=recorder,
            restored=recorder.checkpoint,
        )

    def sync(self, reporter: Recorder | None = None, *, full: bool = False) -> SyncedSales:
        return sync_sales(self.context(reporter), SyncSales(empresa_id=self.id, force_full_sync=full))

    def receive(self, body: bytes, queue: Queue | None = None) -> WebhookReply:
        request = WebhookRequest(body=body, headers={}, query={}, remote_addr=None)
        return receive(request, self.connection, self.store, queue or Queue())

    def rows_of(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table that has no id of its own."""
        with self.store.session() as session:
            return [dict(row) for row in session.execute(select(table)).mappings()]

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with self.store.session() as session:
            found = session.execute(select(table).where(table.c.company_id == self.id).order_by(table.c.id))
            return [dict(row) for row in found.mappings()]

    def orders(self) -> dict[str, dict[str, Any]]:
        return {row["order_number"]: row for row in self.rows(orders)}

    def events(self) -> list[dict[str, Any]]:
        return self.rows(events)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving_sandbox(sandbox_blueprint(), "coinzz") as url, httpx.Client(timeout=60) as http:
        yield Upstream(url, http)


def _open(home: Path, database_url: str | None) -> Store:
    store = Store.open(Settings.load(home=home, database_url=database_url))
    store.migrate([MIGRATIONS])
    return store


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """A migrated SQLite."""
    opened = _open(home, None)
    yield opened
    opened.close()


@pytest.fixture
def each_store(home: Path, database_url: str) -> Iterator[Store]:
    """A migrated database: the test runs once on SQLite and once on PostgreSQL."""
    opened = _open(home, database_url)
    yield opened
    opened.close()


def connect(store: Store, base_url: str = "http://127.0.0.1:1/coinzz", **fields: Any) -> Company:
    company = store.add_company("Loja Exemplo")
    config = {**connection_fields(base_url), **fields}
    token = SecretStr(str(config.pop("api_token")))
    connection, webhook_token = store.add_connection(company.id, "coinzz", "Coinzz", config, {"api_token": token})
    return Company(store, connection, webhook_token)


@pytest.fixture
def company(store: Store, upstream: Upstream) -> Company:
    """On SQLite, connected to the sandbox."""
    return connect(store, upstream.url)


@pytest.fixture
def offline(store: Store) -> Company:
    """On SQLite, with an upstream that nobody calls."""
    return connect(store)


@pytest.fixture
def each_offline(each_store: Store) -> Company:
    return connect(each_store)


@pytest.fixture
def each_company(each_store: Store, upstream: Upstream) -> Company:
    return connect(each_store, upstream.url)


@pytest.fixture
def connected() -> Callable[..., Company]:
    """Makes further companies."""
    return connect


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recorders() -> Callable[..., Recorder]:
    """Makes further recorders."""
    return Recorder


@pytest.fixture
def queue() -> Queue:
    return Queue()

"""A real database, a real sandbox over HTTP, and the smallest thing that can run the handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Table, select

from flowzz.errors import Snoozed
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import JobContext
from flowzz.plugins.connecting import split
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_facebook.connection import FacebookConnection
from flowzz_facebook.models import MIGRATIONS, accounts, ad_sets, ads, campaigns, insights
from flowzz_facebook.payloads import SyncCampaigns, SyncedCampaigns
from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT, connection_fields
from flowzz_facebook.sandbox.routes import sandbox_blueprint
from flowzz_facebook.sync import sync_campaigns
from support.plugging import Queue, Recorder, serving_sandbox

SYNCED_TABLES = (accounts, campaigns, ad_sets, ads, insights)


@dataclass
class Upstream:
    """The sandbox at work; each method is one call over HTTP."""

    url: str
    http: httpx.Client

    def control(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        response = self.http.request(method, f"{self.url}/_control/{path}", json=dict(body or {}))
        assert response.status_code == 200, response.text
        return response.json()

    def seed(self, campaigns: int = 2, ad_sets: int = 2, ads: int = 3, account: str = FIRST_ACCOUNT) -> Any:
        size = {"campaigns": campaigns, "adSetsEach": ad_sets, "adsEach": ads}
        return self.control("seed", {**size, "account": account})

    def faults(self, **wanted: Any) -> None:
        self.control("faults", wanted, "PUT")

    def settings(self, **wanted: Any) -> None:
        self.control("settings", wanted, "PUT")

    def objects(self, edge: str, account: str = FIRST_ACCOUNT) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control(f"objects/{account}/{edge}", method="GET")["objects"]
        return found

    def change(self, edge: str, identifier: str, account: str = FIRST_ACCOUNT, **fields: Any) -> None:
        self.control(f"objects/{account}/{edge}/{identifier}", fields, "PUT")

    def stats(self) -> Any:
        return self.control("stats", method="GET")

    def calls(self, endpoint: str) -> int:
        return int(self.stats()["byEndpoint"].get(endpoint, 0))

    def requests(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        found = self.control("requests", method="GET")["requests"]
        return [one for one in found if endpoint in (None, one["endpoint"])]


@dataclass
class Company:
    """A company with a Facebook connection, and what its tests look at."""

    store: Store
    connection: Connection
    token: str

    @property
    def id(self) -> str:
        return self.connection.company_id

    def context(self, recorder: Recorder) -> JobContext:
        return JobContext(
            job_id="job",
            job_name="facebook.sync_campaigns",
            queue="sync-facebook",
            company_id=self.id,
            attempt=1,
            max_attempts=5,
            worker="test",
            store=self.store,
            host=Queue(),
            reporter=recorder,
            restored=recorder.checkpoint,
        )

    def once(
        self, recorder: Recorder | None = None, account: str = FIRST_ACCOUNT, *, full: bool = False
    ) -> SyncedCampaigns:
        """One execution."""
        payload = SyncCampaigns(empresa_id=self.id, ad_account_id=account, force_full_sync=full)
        return sync_campaigns(self.context(recorder or Recorder()), payload)

    def sync(
        self, recorder: Recorder | None = None, account: str = FIRST_ACCOUNT, *, full: bool = False
    ) -> SyncedCampaigns:
        """Executions until one is not put off, as the engine would, without the waits."""
        kept = recorder or Recorder()
        for _ in range(200):
            try:
                return self.once(kept, account, full=full)
            except Snoozed:
                continue
        raise AssertionError("the sync never ended")

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with self.store.session() as session:
            query = select(table).where(table.c.company_id == self.id).order_by(*table.primary_key)
            return [dict(row) for row in session.execute(query).mappings()]

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of a sync, without the company's id."""
        return {
            table.name: [{k: v for k, v in row.items() if k != "company_id"} for row in self.rows(table)]
            for table in SYNCED_TABLES
        }


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving_sandbox(sandbox_blueprint(), "facebook") as url, httpx.Client(timeout=60) as http:
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


def connect(store: Store, base_url: str = "http://127.0.0.1:1/facebook", **fields: Any) -> Company:
    company = store.add_company("Loja Exemplo")
    config, secrets = split("facebook", FacebookConnection, {**connection_fields(base_url), **fields})
    connection, token = store.add_connection(company.id, "facebook", "Facebook", config, secrets)
    return Company(store, connection, token)


@pytest.fixture
def company(store: Store, upstream: Upstream) -> Company:
    """On SQLite, connected to the sandbox."""
    return connect(store, upstream.url)


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

"""The whole way: the sandbox posts and is asked, the web takes, a real worker runs, on a real Valkey."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz.workers import Worker
from flowzz_coinzz.models import MIGRATIONS, events
from flowzz_coinzz.plugin import plugin
from flowzz_coinzz.sandbox import demo
from flowzz_coinzz.sandbox.state import TOKEN
from flowzz_web import create_app
from support.processes import flowzz as command
from support.serving import serving
from support.visiting import PASSWORD, states_of_connections
from support.waiting import eventually

ALONE = {"FLOWZZ_DISABLED_PLUGINS": "facebook,report,whatsapp"}
WITHIN = timedelta(seconds=90)


@dataclass
class Session:
    """A DemoSession on a running Flowzz."""

    flowzz: Flowzz
    connection: Any
    sandbox_url: str
    webhook_url: str
    jobs: list[str] = field(default_factory=list)

    @property
    def company_id(self) -> str:
        return str(self.connection.company_id)

    def enqueue(self, job: str, payload: Mapping[str, Any]) -> str:
        self.expect(self.flowzz.enqueue(job, payload))
        return self.jobs[-1]

    def expect(self, job_id: str) -> None:
        self.jobs.append(job_id)

    @property
    def user_id(self) -> str:
        return "nobody"

    def wait(self, job_id: str, within: timedelta = WITHIN) -> Mapping[str, Any]:
        return {"result": self.done(job_id).result}

    def done(self, job_id: str) -> Any:
        record = self.flowzz.queues.wait(job_id, WITHIN)
        assert record.state.is_final, record
        return record


@pytest.fixture
def flowzz(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate([MIGRATIONS])
        yield opened


@pytest.fixture
def working(flowzz: Flowzz) -> Iterator[Flowzz]:
    """With a worker at work."""
    worker = Worker(flowzz)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield flowzz
    worker.stop()
    thread.join(timeout=30)


@pytest.fixture
def session(working: Flowzz, upstream: Any, connected: Callable[..., Any]) -> Iterator[Session]:
    company = connected(working.store, upstream.url)
    with serving(create_app(working)) as url:
        yield Session(working, company.connection, upstream.url, f"{url}/webhooks/coinzz/{company.token}")


def pending(flowzz: Flowzz) -> int:
    """Events that wait to be processed."""
    with flowzz.store.session() as database:
        return database.scalar(select(func.count()).where(events.c.processed_at.is_(None))) or 0


def state_of(session: Session, connected: Any) -> Any:
    """The company's view of its tables."""
    company = connected(session.flowzz.store)
    company.connection = session.connection
    return company


def test_the_plugin_loads_without_a_problem(flowzz: Flowzz) -> None:
    (record,) = flowzz.plugins.records
    assert (record.problem, str(record.state)) == (None, "loaded")
    assert sorted(flowzz.plugins.jobs) == [
        "coinzz.create_sale",
        "coinzz.process_webhook",
        "coinzz.recover_webhooks",
        "coinzz.sync_sales",
    ]
    assert list(flowzz.plugins.data_sources) == ["coinzz.sales"]
    assert flowzz.plugins.schedules["coinzz.sync_sales"].cron == "0 * * * *"
    assert flowzz.plugins.schedules["coinzz.sync_sales"].timezone == "America/Sao_Paulo"
    assert flowzz.plugins.queues == ("sales-coinzz", "sync-coinzz", "webhooks-coinzz")


def test_the_demo_runs_every_job(session: Session) -> None:
    demo.run(session)

    records = [session.done(job_id) for job_id in session.jobs]
    assert [record.state for record in records] == [JobState.COMPLETED] * 4
    assert {record.name for record in records} == set(session.flowzz.plugins.jobs)
    assert records[0].result == {"synced": 137, "errors": 0}


def test_five_concurrent_webhooks_and_one_out_of_order(session: Session, upstream: Any, connected: Any) -> None:
    number = upstream.seed(1)[0]
    url = {"url": session.webhook_url}
    upstream.control(f"orders/{number}/advance", {**url, "delivery": {"copies": 5, "concurrent": True}})
    upstream.control(f"orders/{number}/advance", {**url, "steps": 2, "delivery": {"order": "reversed"}})

    jobs = [sent["reply"]["jobId"] for sent in upstream.control("deliveries", method="GET")["deliveries"]]
    assert len(jobs) == 7
    assert all(session.done(job_id).state is JobState.COMPLETED for job_id in jobs)
    company = state_of(session, connected)
    (order,) = company.orders().values()
    assert (order["order_status"], order["shipping_status"]) == ("Aprovado", "Recebido")
    assert len(company.events()) == 7


def test_wrong_and_missing_secrets_are_turned_away(session: Session, upstream: Any, connected: Any) -> None:
    upstream.seed(1)
    for secret in ("wrong", "missing"):
        asked = {"kind": "orders", "url": session.webhook_url, "delivery": {"secret": secret}}
        (answer,) = upstream.control("webhooks/send", asked)["answers"]
        assert answer["status"] == 404
    assert state_of(session, connected).events() == []


@pytest.mark.parametrize("kind", ["orders", "affiliations", "subscriptions"])
def test_the_panels_test_button_works_for_each_kind(session: Session, upstream: Any, kind: str) -> None:
    (answer,) = upstream.control("webhooks/test", {"kind": kind, "url": session.webhook_url})["answers"]

    assert answer["status"] == 200
    record = session.done(answer["reply"]["jobId"])
    assert (record.state, record.result["kind"]) == (JobState.COMPLETED, kind[:-1])
    assert record.result["problem"] is None


def test_a_late_webhook_and_one_that_never_comes(session: Session, upstream: Any, connected: Any) -> None:
    late, never = upstream.seed(2)
    url = {"url": session.webhook_url}
    assert upstream.control(f"orders/{late}/advance", {**url, "delivery": {"hold": True}})["answers"] == []
    upstream.control(f"orders/{late}/advance", {**url, "steps": 2})
    upstream.control(f"orders/{never}/advance", {"steps": 3, "delivery": {"never": True}})
    (answer,) = upstream.control("webhooks/release")["answers"]
    session.done(answer["reply"]["jobId"])

    session.done(session.enqueue("coinzz.sync_sales", {"empresaId": session.company_id}))

    orders = state_of(session, connected).orders()
    assert {number: row["shipping_status"] for number, row in orders.items()} == {late: "Recebido", never: "Recebido"}


def test_a_delayed_webhook_arrives(session: Session, upstream: Any, connected: Any) -> None:
    number = upstream.seed(1)[0]
    asked = {"url": session.webhook_url, "delivery": {"delay": 0.1}}
    assert upstream.control(f"orders/{number}/advance", asked)["answers"] == []
    (sent,) = eventually(lambda: upstream.control("deliveries", method="GET")["deliveries"])
    assert session.done(sent["reply"]["jobId"]).result["effect"] == "created"


def test_a_burst_is_taken_whole(session: Session, upstream: Any, connected: Any) -> None:
    burst = upstream.control("burst", {"count": 1000, "url": session.webhook_url})

    assert burst == {"sent": 1000, "accepted": 1000}
    company = state_of(session, connected)
    eventually(lambda: pending(session.flowzz) == 0)
    assert len(company.orders()) == len(company.events()) == 1000
    assert eventually(lambda: sum(stats.active + stats.waiting for stats in session.flowzz.stats()) == 0)
    assert sum(stats.failed for stats in session.flowzz.stats()) == 0


def test_a_throttled_sync_uses_no_attempt(session: Session, upstream: Any) -> None:
    upstream.seed(30)
    upstream.faults(throttled={"after": 1, "times": 1, "retry_after": 1})

    record = session.done(session.enqueue("coinzz.sync_sales", {"empresaId": session.company_id}))

    assert record.result == {"synced": 30, "errors": 0}
    assert record.attempts_made == 1
    assert [attempt.outcome for attempt in session.flowzz.queues.attempts(record.id)] == ["postponed", "completed"]
    assert upstream.stats()["byPage"] == {"1": 1, "2": 1, "3": 1}


def test_a_token_that_expires_mid_sync_pauses_that_company_only_and_the_sync_resumes_where_it_was(
    session: Session, settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any]
) -> None:
    flowzz = session.flowzz
    upstream.seed(60)
    other = connected(flowzz.store, upstream.url)
    upstream.faults(unauthorized={"after": 3})
    synced = session.enqueue("coinzz.sync_sales", {"empresaId": session.company_id})
    eventually(lambda: flowzz.queues.job(synced).state is JobState.DELAYED)

    stopped = flowzz.store.connection_by_id(session.connection.id)
    assert str(stopped.state) == "needs_credentials"
    assert "refused the API token" in (stopped.state_reason or "")
    assert flowzz.queues.job(synced).checkpoint["page"] == 4
    assert flowzz.store.connection_by_id(other.connection.id).state is ConnectionState.ACTIVE

    flowzz.store.add_user("admin@flowzz.example", SecretStr(PASSWORD), Role.ADMIN)
    client = create_app(flowzz).test_client()
    states = states_of_connections(client)
    assert states == {
        stopped.id: ("needs_credentials", stopped.state_reason),
        other.connection.id: ("active", None),
    }
    told = command(settings.home, redis_url, "health", **ALONE)
    assert told.returncode == 0, told.stdout
    (warning,) = told.stderr.splitlines()
    assert warning.startswith("Warning: coinzz connection 'Coinzz' of Loja Exemplo has needed new credentials for")
    assert warning.endswith(f"flowzz connections update {stopped.id}")

    upstream.faults()
    done = session.done(session.enqueue("coinzz.sync_sales", {"empresaId": other.id}))
    assert done.result == {"synced": 60, "errors": 0}

    # A wrong token is tried out and refused: nothing is stored, and the job waits on.
    words = ("connections", "update", stopped.id, "--secret-from-env", "api_token=NEW_TOKEN")
    refused = command(settings.home, redis_url, *words, NEW_TOKEN="12|another")
    assert refused.returncode == 1
    assert "the connection was tested and does not work: Coinzz refused the API token" in refused.stderr
    assert flowzz.store.connection_by_id(stopped.id) == stopped
    assert flowzz.queues.job(synced).state is JobState.DELAYED

    before = upstream.stats()["byPage"]
    renewed = command(settings.home, redis_url, *words, NEW_TOKEN=TOKEN)
    assert renewed.stdout == f"{stopped.id} updated; it is active again, and the jobs that waited for it go on\n"
    record = session.done(synced)
    assert (record.state, record.attempts_made) == (JobState.COMPLETED, 1)
    assert record.result == {"synced": 60, "errors": 0}
    after = upstream.stats()["byPage"]
    assert {page for page in after if after[page] != before[page]} == {"4", "5", "6"}
    assert flowzz.store.connection_by_id(stopped.id).succeeded_at is not None
    assert states_of_connections(client) == dict.fromkeys(states, ("active", None))
    assert json.loads(command(settings.home, redis_url, "health", "--json", **ALONE).stdout)["warnings"] == []


def test_a_refused_token_pauses_the_connection(session: Session, upstream: Any) -> None:
    upstream.seed(5)
    upstream.faults(unauthorized=True)

    synced = session.enqueue("coinzz.sync_sales", {"empresaId": session.company_id})

    record = eventually(lambda: (found := session.flowzz.queues.job(synced)).state is JobState.DELAYED and found)
    assert "refused the API token" in record.note
    connection = session.flowzz.store.connection_by_id(session.connection.id)
    assert str(connection.state) == "needs_credentials"
    assert upstream.stats()["calls"] == 1


def test_a_passing_trouble_is_retried_by_the_job(session: Session, upstream: Any) -> None:
    upstream.seed(30)
    upstream.faults(server_error={"after": 1, "times": 3, "status": 502})

    record = session.done(session.enqueue("coinzz.sync_sales", {"empresaId": session.company_id}))

    assert record.result == {"synced": 30, "errors": 0}
    assert record.attempts_made == 2
    assert upstream.stats()["byPage"] == {"1": 1, "2": 1, "3": 1}


def test_ticks_while_no_worker_runs_do_not_pile_up(flowzz: Flowzz, connected: Callable[..., Any]) -> None:
    company = connected(flowzz.store, "http://127.0.0.1:1")
    hourly = flowzz.plugins.schedules["coinzz.sync_sales"]
    assert [flowzz.fire(hourly, now() + timedelta(hours=hours)).jobs for hours in range(3)] == [1, 0, 0]
    payload = {"empresaId": company.connection.company_id}
    made = [flowzz.submit("coinzz.recover_webhooks", payload).created for _ in range(3)]
    assert made == [True, False, False]

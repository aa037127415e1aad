"""A real database, a real sandbox over HTTP, and the smallest thing that can run a handler."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, jsonify, request
from pydantic import SecretStr
from sqlalchemy import Table, select

from flowzz.errors import QueueUnavailable
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import JobContext
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import WebhookReply, WebhookRequest
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_whatsapp.client import CloudApi
from flowzz_whatsapp.connection import WhatsAppConnection
from flowzz_whatsapp.models import MIGRATIONS, contacts, events, messages, statuses
from flowzz_whatsapp.payloads import SendMessage, SentMessage
from flowzz_whatsapp.sandbox.demo import connection_fields
from flowzz_whatsapp.sandbox.routes import sandbox_blueprint
from flowzz_whatsapp.send import send_message
from flowzz_whatsapp.webhooks import ProcessedWebhook, ProcessWebhook, process_webhook, receive
from support.serving import serving

ANA = "+5511987654321"


@dataclass
class Recorder:
    """A ReporterPort that keeps what was reported."""

    lines: list[str] = field(default_factory=list)
    checkpoint: Any = None
    steps: dict[str, str] = field(default_factory=dict)
    stop_requested: bool = False
    cancel_requested: bool = False
    lease_lost: bool = False

    def report(
        self, *, progress: tuple[float, str] | None = None, log: Sequence[str] = (), checkpoint: Any = None
    ) -> None:
        self.lines.extend(log)
        if checkpoint is not None:
            self.checkpoint = checkpoint

    def recall(self) -> Mapping[str, str]:
        return self.steps

    def remember(self, name: str, result: str) -> None:
        self.steps[name] = result


@dataclass
class Queue:
    """An EnqueuePort and HostPort that keeps what was enqueued, or is away."""

    jobs: list[tuple[str, Any, str | None]] = field(default_factory=list)
    away: bool = False
    settings: Settings = field(default_factory=Settings.load)

    def enqueue(self, job: str, payload: Any, options: Any = None) -> str:
        if self.away:
            raise QueueUnavailable
        self.jobs.append((job, payload, options.job_id))
        return str(options.job_id)

    def data_sources(self, topic: str) -> tuple[Any, ...]:
        return ()

    def job_states(self, ids: Sequence[str]) -> Mapping[str, JobState]:
        return {}

    def notify(self, notification: Any) -> Any:
        raise AssertionError("no handler of this plugin notifies")


@dataclass
class Upstream:
    """The sandbox at work; each method is one call over HTTP."""

    url: str
    http: httpx.Client

    def control(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        response = self.http.request(method, f"{self.url}/_control/{path}", json=dict(body or {}))
        assert response.status_code == 200, response.text
        return response.json()

    def faults(self, **wanted: Any) -> None:
        self.control("faults", wanted, "PUT")

    def settings(self, **wanted: Any) -> None:
        self.control("settings", wanted, "PUT")

    def stats(self) -> Any:
        return self.control("stats", method="GET")

    def phones(self) -> dict[str, list[dict[str, Any]]]:
        """What each phone received."""
        found: dict[str, list[dict[str, Any]]] = self.control("phones", method="GET")
        return found

    def deliveries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("deliveries", method="GET")["deliveries"]
        return found


@dataclass
class Company:
    """A company with a WhatsApp connection, and what its tests look at."""

    store: Store
    connection: Connection
    token: str

    @property
    def id(self) -> str:
        return self.connection.company_id

    @property
    def settings(self) -> WhatsAppConnection:
        return self.connection.configured(WhatsAppConnection)

    def api(self, **options: Any) -> CloudApi:
        return CloudApi(self.settings, self.connection.id, **options)

    def context(self, job_id: str = "job-1", *, attempt: int = 1, recorder: Recorder | None = None) -> JobContext:
        return JobContext(
            job_id=job_id,
            job_name="whatsapp.send_message",
            queue="whatsapp",
            company_id=self.id,
            attempt=attempt,
            max_attempts=3,
            worker="test",
            store=self.store,
            reporter=recorder or Recorder(),
            restored=recorder.checkpoint if recorder else None,
            host=Queue(),
        )

    def send(
        self,
        to: str = ANA,
        message: str = "oi",
        *,
        job_id: str = "job-1",
        attempt: int = 1,
        recorder: Recorder | None = None,
        **more: Any,
    ) -> Any:
        """Run the job once, as a worker would; what it returns, or raises."""
        data = SendMessage.model_validate({"empresaId": self.id, "to": to, "message": message, **more})
        sent = send_message(self.context(job_id, attempt=attempt, recorder=recorder), data)
        assert isinstance(sent, SentMessage)
        return sent

    def receive(self, body: bytes, queue: Queue | None = None, *, signature: str | None = "right") -> WebhookReply:
        headers = {} if signature is None else {"x-hub-signature-256": signature}
        if signature == "right":
            headers = {"x-hub-signature-256": self.settings.signature(body)}
        request = WebhookRequest(body=body, headers=headers, query={}, remote_addr=None)
        return receive(request, self.connection, self.store, queue or Queue())

    def process(self, body: bytes) -> ProcessedWebhook:
        """Take a webhook and run its job."""
        reply = self.receive(body)
        assert reply.status == 200, reply.body
        data = ProcessWebhook(empresa_id=self.id, event_id=str(reply.body["eventId"]))
        return process_webhook(self.context(str(reply.body["jobId"])), data)

    def status(self, wamid: str, word: str, at: datetime, **more: Any) -> bytes:
        """A webhook's body with one status of a message to Ana."""
        said = {"id": wamid, "status": word, "timestamp": str(int(at.timestamp())), "recipient_id": ANA[1:], **more}
        metadata = {"phone_number_id": self.settings.phone_number_id}
        value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": [said]}
        entry = {"changes": [{"field": "messages", "value": value}]}
        return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with self.store.session() as session:
            found = session.execute(select(table).where(table.c.company_id == self.id).order_by(table.c.id))
            return [dict(row) for row in found.mappings()]

    def messages(self) -> list[dict[str, Any]]:
        return self.rows(messages)

    def message(self) -> dict[str, Any]:
        """The only message there is."""
        (row,) = self.messages()
        return row

    def statuses(self) -> list[dict[str, Any]]:
        return self.rows(statuses)

    def events(self) -> list[dict[str, Any]]:
        return self.rows(events)

    def contacts(self) -> list[dict[str, Any]]:
        return self.rows(contacts)


@contextmanager
def sandbox() -> Iterator[Upstream]:
    app = Flask("sandbox")
    app.register_blueprint(sandbox_blueprint(), url_prefix="/whatsapp")
    with serving(app) as url, httpx.Client(timeout=60) as http:
        yield Upstream(f"{url}/whatsapp", http)


@contextmanager
def taking(company: Company) -> Iterator[str]:
    """The address of a web that takes a company's webhooks and runs each one's job before it answers."""
    app = Flask("taker")

    @app.post("/hook")
    def hook() -> Any:
        headers = {name.lower(): value for name, value in request.headers.items()}
        queue = Queue()
        came = WebhookRequest(body=request.get_data(), headers=headers, query={}, remote_addr=None)
        reply = receive(came, company.connection, company.store, queue)
        for _, payload, job_id in queue.jobs:
            process_webhook(company.context(str(job_id)), payload)
        return jsonify(reply.body), reply.status

    with serving(app) as url:
        yield f"{url}/hook"


@pytest.fixture
def posting() -> Callable[[Company], AbstractContextManager[str]]:
    """Makes an address where a company's webhooks are taken and processed at once."""
    return taking


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """The sandbox; texts are taken whether the window is open or not, unless a test says otherwise."""
    with sandbox() as running:
        running.settings(window="off")
        yield running


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


@pytest.fixture
def postgres_company(home: Path, postgres_url: str, upstream: Upstream) -> Iterator[Company]:
    """On PostgreSQL, whose transactions overlap, connected to the sandbox."""
    opened = _open(home, postgres_url)
    yield connect(opened, upstream.url)
    opened.close()


SECRETS = ("access_token", "app_secret", "verify_token")


def connect(store: Store, base_url: str = "http://127.0.0.1:1/whatsapp", **fields: Any) -> Company:
    company = store.add_company("Loja Exemplo")
    config = {**connection_fields(base_url), **fields}
    secrets = {name: SecretStr(str(config.pop(name))) for name in SECRETS}
    connection, webhook_token = store.add_connection(company.id, "whatsapp", "WhatsApp", config, secrets)
    return Company(store, connection, webhook_token)


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


@pytest.fixture
def queue() -> Queue:
    return Queue()

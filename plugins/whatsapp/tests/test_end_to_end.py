"""The whole way: a real worker sends, the sandbox posts back, the web takes, on a real Valkey."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.errors import InvalidPayload
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz.workers import Worker
from flowzz_web import create_app
from flowzz_whatsapp.models import MIGRATIONS
from flowzz_whatsapp.plugin import plugin
from flowzz_whatsapp.sandbox import demo
from support.serving import serving
from support.visiting import PASSWORD, api_headers, states_of_connections
from support.waiting import eventually

WITHIN = timedelta(seconds=90)
ANA = "+5511987654321"


@dataclass
class Session:
    """A DemoSession on a running Flowzz."""

    flowzz: Flowzz
    company: Any
    sandbox_url: str
    webhook_url: str
    jobs: list[str] = field(default_factory=list)

    @property
    def connection(self) -> Any:
        return self.company.connection

    @property
    def company_id(self) -> str:
        return str(self.connection.company_id)

    def enqueue(self, job: str, payload: Mapping[str, Any]) -> str:
        self.expect(self.flowzz.enqueue(job, payload))
        return self.jobs[-1]

    def expect(self, job_id: str) -> None:
        self.jobs.append(job_id)

    def send(self, to: str = ANA, message: str = "oi", **more: Any) -> str:
        payload = {"empresaId": self.company_id, "to": to, "message": message, **more}
        return self.enqueue("whatsapp.send_message", payload)

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
        address = f"{url}/webhooks/whatsapp/{company.token}"
        upstream.settings(webhook_url=address)
        yield Session(working, company, upstream.url, address)


def test_the_plugin_loads_without_a_problem(flowzz: Flowzz) -> None:
    (record,) = flowzz.plugins.records
    assert (record.problem, str(record.state)) == (None, "loaded")
    assert sorted(flowzz.plugins.jobs) == [
        "whatsapp.close_ended",
        "whatsapp.delete_old",
        "whatsapp.look_up_statuses",
        "whatsapp.process_webhook",
        "whatsapp.recover_webhooks",
        "whatsapp.send_message",
    ]
    assert flowzz.plugins.queues == ("webhooks-whatsapp", "whatsapp")


def test_the_demo_runs_every_job(session: Session) -> None:
    demo.run(session)

    records = [session.done(job_id) for job_id in session.jobs]
    assert {record.state for record in records} == {JobState.COMPLETED}
    assert {record.name for record in records} == set(session.flowzz.plugins.jobs)


def test_a_message_is_sent_and_its_statuses_come_back(session: Session, upstream: Any) -> None:
    record = session.done(session.send(message="Seu pedido saiu"))

    assert record.state is JobState.COMPLETED
    assert record.result["messageId"] == upstream.phones()[ANA][0]["wamid"]
    assert record.result["status"] in ("accepted", "sent", "delivered", "read")
    eventually(lambda: session.company.message()["state"] == "read")


def test_statuses_come_twice_shuffled_and_in_batches(session: Session, upstream: Any) -> None:
    upstream.settings(delivery={"copies": 2, "order": "shuffled", "batch": 7}, rate=None)
    jobs = [session.send(to=f"+55119876500{place:02d}") for place in range(30)]
    assert {session.done(job).state for job in jobs} == {JobState.COMPLETED}
    eventually(lambda: {row["state"] for row in session.company.messages()} == {"read"})
    eventually(
        lambda: len(session.company.statuses()) == 90, saying="each status is kept once; the last may come after read"
    )


@pytest.mark.parametrize(("signature", "status"), [("wrong", 403), ("missing", 401)])
def test_a_wrong_or_missing_signature_is_turned_away(
    session: Session, upstream: Any, signature: str, status: int
) -> None:
    told = {"from": ANA, "delivery": {"signature": signature, "retries": 0}}
    (answer,) = upstream.control("incoming", told)["answers"]
    assert answer["status"] == status
    assert session.company.events() == []


def test_metas_handshake(session: Session, upstream: Any) -> None:
    ask = {"url": session.webhook_url}
    assert upstream.control("webhooks/verify", ask) == {"status": 200, "verified": True}
    wrong = upstream.control("webhooks/verify", {**ask, "verify_token": "wrong"})
    assert wrong == {"status": 403, "verified": False}


def test_a_webhook_that_was_not_taken_comes_again(session: Session, upstream: Any) -> None:
    """The connection is unknown at first; Meta tries again until the address is right."""
    upstream.settings(webhook_url=f"{session.webhook_url}x")
    told = {"from": ANA, "delivery": {"retries": 1}}
    (answer,) = upstream.control("incoming", told)["answers"]
    assert (answer["status"], answer["posts"]) == (404, 2)


def test_an_answer_that_is_lost_is_reconciled(session: Session, upstream: Any) -> None:
    upstream.faults(reset_after={"times": 1})
    record = session.done(session.send())

    assert record.state is JobState.COMPLETED
    assert record.attempts_made == 1
    outcomes = [attempt.outcome for attempt in session.flowzz.queues.attempts(record.id)]
    assert outcomes[0] == "postponed"
    assert outcomes[-1] == "completed"
    assert len(upstream.phones()[ANA]) == 1
    assert session.company.message()["message_id"] == record.result["messageId"]


def test_a_throttle_uses_no_attempt(session: Session, upstream: Any) -> None:
    upstream.faults(error={"code": 130429, "status": 429, "times": 1})
    record = session.done(session.send())
    assert (record.state, record.attempts_made) == (JobState.COMPLETED, 1)


def test_two_messages_to_one_person_keep_their_distance(session: Session, upstream: Any) -> None:
    first, second = session.send(message="1"), session.send(message="2")
    assert session.done(first).state is JobState.COMPLETED
    told = session.flowzz.queues.explain(second)
    assert str(told.key).startswith("whatsapp.pair:")
    other = session.done(session.send(to="+5521987654321"))
    assert other.state is JobState.COMPLETED
    assert session.flowzz.queues.job(second).state is JobState.WAITING


def test_a_token_that_expires_pauses_that_company_only(
    session: Session, upstream: Any, connected: Callable[..., Any]
) -> None:
    flowzz = session.flowzz
    upstream.faults(token={"subcode": 463, "times": 1})
    refused = session.send()
    eventually(lambda: flowzz.queues.job(refused).state is JobState.DELAYED)
    connection = flowzz.store.connection_by_id(session.connection.id)
    assert connection.state is ConnectionState.NEEDS_CREDENTIALS
    waiting = session.send(to="+5521987654321")
    other = connected(flowzz.store, upstream.url, phone_number_id="500000000000002")
    payload = {"empresaId": other.id, "to": ANA, "message": "oi"}
    assert session.done(flowzz.enqueue("whatsapp.send_message", payload)).state is JobState.COMPLETED
    eventually(lambda: flowzz.queues.attempts(waiting))
    assert flowzz.queues.attempts(waiting)[0].outcome == "postponed"
    assert "needs credentials" in str(flowzz.queues.job(waiting).note)

    flowzz.store.add_user("admin@flowzz.example", SecretStr(PASSWORD), Role.ADMIN)
    client = create_app(flowzz).test_client()
    states = states_of_connections(client)
    assert states == {
        connection.id: ("needs_credentials", connection.state_reason),
        other.connection.id: ("active", None),
    }
    body = {"config": {"access_token": connection.secrets["access_token"].get_secret_value()}}
    renewed = client.patch(f"/api/v1/connections/{connection.id}", json=body, headers=api_headers(client))
    assert (renewed.status_code, renewed.json["state"]) == (200, "active")
    assert {session.done(job_id).state for job_id in (refused, waiting)} == {JobState.COMPLETED}
    assert states_of_connections(client) == dict.fromkeys(states, ("active", None))
    assert [flowzz.queues.job(job_id).attempts_made for job_id in (refused, waiting)] == [1, 1]


def test_a_campaign_in_which_some_recipients_fail(session: Session, upstream: Any) -> None:
    people = {
        "+5511987650001": {"code": 131026, "when": "async"},
        "+5511987650002": {"code": 131047, "when": "sync"},
        "+5511987650003": {"code": 131049, "when": "async"},
    }
    upstream.settings(recipients=people)
    jobs = {number: session.send(to=number) for number in [*people, "+5511987650004"]}
    ended = {number: session.done(job).state for number, job in jobs.items()}
    assert [ended[number] for number in jobs] == [
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.COMPLETED,
        JobState.COMPLETED,
    ]
    expected = {"+5511987650001": 131026, "+5511987650002": 131047, "+5511987650003": 131049, "+5511987650004": None}

    def codes() -> dict[str, Any]:
        return {row["recipient"]: row["error_code"] for row in session.company.messages()}

    eventually(lambda: codes() == expected)
    eventually(lambda: "read" in {row["state"] for row in session.company.messages()})


def test_a_bad_payload_is_refused_at_the_door(flowzz: Flowzz) -> None:
    with pytest.raises(InvalidPayload, match=r"to: .*expected a phone number"):
        flowzz.enqueue("whatsapp.send_message", {"empresaId": "a", "to": "0800", "message": "oi"})

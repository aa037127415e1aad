"""Pausing, cancelling, explaining and limits over HTTP and in the admin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.lanes import Lane, LimitKey
from flowzz.queues.pauses import PauseKind
from flowzz.store import Role
from support.engine import new_job, step
from support.visiting import HTML, post

Bearer = Callable[..., dict[str, str]]
Call = Callable[..., Any]
SALES = {"job": "coinzz.sync_sales", "payload": {"empresaId": "loja-1"}}


@pytest.fixture
def call(client: FlaskClient, bearer: Bearer) -> Call:
    headers = bearer()
    return lambda method, path, **options: client.open(f"/api/v1{path}", method=method, headers=headers, **options)


@pytest.fixture
def admin(as_role: Callable[[Role], FlaskClient]) -> FlaskClient:
    return as_role(Role.ADMIN)


@pytest.mark.parametrize(
    ("kind", "name"), [("queue", "sync-coinzz"), ("job", "coinzz.sync_sales"), ("company", "loja 1/x|y")]
)
def test_pause_list_and_resume(call: Call, flowzz: Flowzz, kind: str, name: str) -> None:
    until = (now() + timedelta(hours=1)).isoformat()
    made = call("POST", "/pauses", json={"kind": kind, "name": name, "reason": "dispute", "until": until})
    assert made.status_code == 201
    (listed,) = call("GET", "/pauses").json["pauses"]
    assert (listed["kind"], listed["name"], listed["reason"]) == (kind, name, "dispute")
    link = made.headers["Location"].removeprefix("/api/v1")
    assert call("DELETE", link).status_code == 204
    assert call("GET", "/pauses").json == {"pauses": []}
    assert call("DELETE", link).json["type"] == "urn:flowzz:problem:not-found"
    actions = [entry.action for entry in flowzz.store.audit()]
    assert {f"{kind}.pause", f"{kind}.resume"} <= set(actions)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"kind": "queue", "name": "sync-coinz"}, 404, "sync-coinzz"),
        ({"kind": "job", "name": "coinzz.sync_sale"}, 404, "coinzz.sync_sales"),
        ({"kind": "planet", "name": "x"}, 422, "kind"),
        ({"kind": "company", "name": "x", "until": "2020-01-01T00:00:00Z"}, 422, "future"),
        ({"kind": "company", "name": "x", "until": "2030-01-01T00:00:00"}, 422, "until"),
    ],
)
def test_a_wrong_pause_is_refused(call: Call, body: dict[str, str], status: int, says: str) -> None:
    answer = call("POST", "/pauses", json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_cancel_explain_and_priority(call: Call, flowzz: Flowzz) -> None:
    ids = [call("POST", "/jobs", json={**SALES, "options": {"priority": n}}).json["id"] for n in (9, 1)]
    assert [claim.job_id for claim in step(flowzz.queues, want=1, served=("sync-coinzz",)).claims] == [ids[1]]
    told = call("GET", f"/jobs/{ids[0]}/explain").json
    assert (told["reason"], told["state"], told["position"]) == ("no_worker", "waiting", 1)
    canceled = call("POST", f"/jobs/{ids[0]}/cancel", json={"reason": "typo"})
    assert (canceled.status_code, canceled.json["state"], canceled.json["note"]) == (200, "canceled", "typo")
    assert call("POST", f"/jobs/{ids[0]}/cancel").status_code == 409
    running = call("POST", f"/jobs/{ids[1]}/cancel")
    assert (running.status_code, running.json["state"]) == (200, "active")
    assert call("POST", "/jobs/nobody/cancel").status_code == 404
    assert call("GET", "/jobs/nobody/explain").status_code == 404
    assert call("POST", "/jobs", json={**SALES, "options": {"priority": 11}}).status_code == 422


def test_limits_are_paged_with_those_that_stop_something_first(call: Call, flowzz: Flowzz) -> None:
    lane = Lane(limits=(LimitKey("phone:1", 1, 60_000), LimitKey("account:7", 5)))
    flowzz.queues.transitions.enqueue([new_job(f"j{n}", lane=lane) for n in range(2)])
    step(flowzz.queues)
    page = call("GET", "/limits?limit=1").json
    assert (page["total"], [item["name"] for item in page["items"]]) == (2, ["phone:1"])
    assert page["items"][0]["waitingLanes"] == 1
    assert [item["name"] for item in call("GET", "/limits?offset=1").json["items"]] == ["account:7"]
    assert call("GET", "/limits?limit=0").status_code == 422


def test_a_queue_is_limited_and_let_go_over_http(call: Call, flowzz: Flowzz) -> None:
    flowzz.queues.transitions.enqueue([new_job(f"j{n}", queue="sync-coinzz") for n in range(5)])
    assert call("PUT", "/limits/queues/sync-coinzz", json={"rate": "3/60s", "concurrency": 2}).status_code == 204
    assert len(step(flowzz.queues, served=("sync-coinzz",)).claims) == 2
    told = {item["kind"]: item for item in call("GET", "/limits").json["items"]}
    assert (told["rate"]["count"], told["rate"]["periodS"], told["rate"]["queue"]) == (3, 60.0, "sync-coinzz")
    edit = told["concurrency"]["edited"]
    assert (edit["rule"], edit["was"], edit["by"]) == ("2", None, "admin@flowzz.example")
    assert told["concurrency"]["waitingLanes"] == 1
    assert call("PUT", "/limits/queues/sync-coinzz", json={"concurrency": "none"}).status_code == 204
    assert len(step(flowzz.queues, served=("sync-coinzz",)).claims) == 1
    assert call("DELETE", "/limits/queues/sync-coinzz").status_code == 204
    assert len(step(flowzz.queues, served=("sync-coinzz",)).claims) == 2
    assert call("GET", "/limits").json["total"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("queues/nobodys", {"rate": "1/1s"}, 404, "no queue is named"),
        ("jobs/nobodys", {"rate": "1/1s"}, 404, "no limit is named"),
        ("planets/x", {"rate": "1/1s"}, 404, "/limits/queues/"),
        ("queues/sync-coinzz", {"rate": "10"}, 422, "a rate such as 10/60s"),
        ("queues/sync-coinzz", {"concurrency": 0}, 422, "concurrency"),
        ("queues/sync-coinzz", {}, 422, "got neither"),
    ],
)
def test_a_wrong_limit_is_refused(call: Call, path: str, body: dict[str, object], status: int, says: str) -> None:
    answer = call("PUT", f"/limits/{path}", json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_who_comes_too_late_for_an_event_is_told_so(call: Call, flowzz: Flowzz, raw: redis.Redis) -> None:
    for name in ("a", "b", "c"):
        flowzz.queues.transitions.enqueue([new_job(name)])
    since = call("GET", "/events?since=0&limit=1").json["next"]
    raw.xtrim(keys.EVENTS(), maxlen=1, approximate=False)
    page = call("GET", f"/events?since={since}").json
    assert ([event["subject"] for event in page["events"]], page["gap"]) == (["c"], True)
    assert not call("GET", f"/events?since={page['next']}").json["gap"]


def test_the_job_page_says_why_and_cancels(admin: FlaskClient, flowzz: Flowzz) -> None:
    job = flowzz.enqueue("coinzz.sync_sales", {"empresaId": "loja-1"}, EnqueueOptions(job_id="sales-1"))
    flowzz.pause(PauseKind.COMPANY, "loja-1", "disputed <invoice>")
    page = admin.get(f"/admin/jobs/{job}", headers={"Accept-Language": "en", **HTML}).text
    assert "Company loja-1 is paused. Reason: disputed &lt;invoice&gt;" in page
    page = admin.get(f"/admin/jobs/{job}", headers={"Accept-Language": "pt-BR", **HTML}).text
    assert "A empresa loja-1 está pausada. Motivo: disputed" in page
    post(admin, f"/admin/jobs/{job}/cancel", reason="typo")
    record = flowzz.queues.job(job)
    assert (record.state, record.note) == (JobState.CANCELED, "typo")
    answer = post(admin, f"/admin/jobs/{job}/cancel")
    assert "Cannot cancel job sales-1" in admin.get(answer.location, headers={"Accept-Language": "en", **HTML}).text


def test_the_queues_page_shows_paused_companies_and_jobs_and_resumes_them(admin: FlaskClient, flowzz: Flowzz) -> None:
    assert "None is paused." in admin.get("/admin/queues", headers=HTML).text
    flowzz.pause(PauseKind.COMPANY, "loja 1|x", "dispute")
    flowzz.pause(PauseKind.JOB, "coinzz.sync_sales", "month end", until=now() + timedelta(hours=1))
    page = admin.get("/admin/queues", headers={"Accept-Language": "en", **HTML}).text
    assert "Paused companies" in page
    assert all(word in page for word in ("loja 1|x", "dispute", "month end"))
    post(admin, "/admin/pauses/company/loja%201%7Cx/resume")
    post(admin, "/admin/pauses/job/coinzz.sync_sales/resume")
    assert flowzz.queues.pauses() == []


def test_every_reason_has_a_sentence_in_both_languages(admin: FlaskClient, flowzz: Flowzz) -> None:
    delayed = flowzz.enqueue("coinzz.sync_sales", SALES["payload"], EnqueueOptions(delay=timedelta(hours=1)))  # type: ignore[arg-type]
    waiting = flowzz.enqueue("coinzz.sync_sales", SALES["payload"])  # type: ignore[arg-type]
    for job, language, said in (
        (delayed, "en", "It is delayed. Until"),
        (delayed, "pt-BR", "Está agendado. Até"),
        (waiting, "en", "No live worker serves queue sync-coinzz."),
        (waiting, "pt-BR", "Nenhum worker ativo atende a fila sync-coinzz."),
    ):
        assert said in admin.get(f"/admin/jobs/{job}", headers={"Accept-Language": language, **HTML}).text


def test_events_are_paged_by_id(call: Call, flowzz: Flowzz) -> None:
    assert call("GET", "/events").json == {"events": [], "next": "0", "gap": False}
    flowzz.queues.transitions.enqueue([new_job(f"j{n}") for n in range(3)])
    page = call("GET", "/events?since=0&limit=2").json
    assert [(event["name"], event["subject"]) for event in page["events"]] == [("waiting", "j0"), ("waiting", "j1")]
    assert page["next"] == page["events"][-1]["id"]
    rest = call("GET", f"/events?since={page['next']}").json
    assert [event["subject"] for event in rest["events"]] == ["j2"]
    assert call("GET", f"/events?since={rest['next']}").json == {"events": [], "next": rest["next"], "gap": False}
    assert call("GET", "/events?since=soon").status_code == 422
    assert call("GET", "/events?limit=0").status_code == 422

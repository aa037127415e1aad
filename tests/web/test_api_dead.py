"""Dead letters over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from support import gallery
from support.waiting import eventually

Call = Callable[..., Any]


@pytest.fixture
def call(client: FlaskClient, bearer: Callable[..., dict[str, str]]) -> Call:
    headers = bearer()
    return lambda method, path, **more: client.open(f"/api/v1{path}", method=method, headers=headers, **more)


@pytest.fixture
def dead(flowzz: Flowzz) -> list[str]:
    """Two dead messages of two companies, oldest death first."""
    ids = []
    with gallery.working(flowzz):
        for company in ("loja-1", "loja-2"):
            payload = {"empresaId": company, "to": "5511", "template": "unknown"}
            ids.append(flowzz.enqueue("whatsapp.send_message", payload))
            eventually(lambda: flowzz.queues.job(ids[-1]).state is JobState.FAILED)
    return ids


def test_list_and_filter(call: Call, dead: list[str]) -> None:
    page = call("GET", "/dead").json
    assert [job["id"] for job in page["items"]] == dead[::-1]
    assert page["items"][0]["error"]["type"] == "Permanent"
    assert [job["id"] for job in call("GET", "/dead?company=loja-1&job=whatsapp.send_message").json["items"]] == dead[
        :1
    ]
    assert call("GET", "/dead?error=KeyError").json["total"] == 0
    assert call("GET", "/dead?since=yesterday").status_code == 422


def test_replay_is_exact_with_the_bound_of_the_first_answer(call: Call, flowzz: Flowzz, dead: list[str]) -> None:
    answer = call("POST", "/dead/replay", json={"company": "loja-1"})
    assert (answer.status_code, answer.json["matched"], answer.json["moved"]) == (200, 1, 1)
    assert flowzz.queues.job(dead[0]).state is JobState.WAITING
    with gallery.working(flowzz):
        eventually(lambda: flowzz.queues.job(dead[0]).state is JobState.FAILED)
    again = call("POST", "/dead/replay", json={"company": "loja-1", "until": answer.json["until"]})
    assert again.json["moved"] == 0


def test_everything_is_moved_only_when_asked_for(call: Call, flowzz: Flowzz, dead: list[str]) -> None:
    for action in ("replay", "remove"):
        assert call("POST", f"/dead/{action}", json={}).status_code == 422
    assert call("POST", "/dead/remove", json={"ids": dead[:1]}).json["moved"] == 1
    assert call("POST", "/dead/replay", json={"all": True}).json["moved"] == 1
    assert call("GET", "/dead").json["total"] == 0


def test_strangers_are_refused(client: FlaskClient) -> None:
    assert client.get("/api/v1/dead").status_code == 401
    assert client.post("/api/v1/dead/replay", json={"all": True}).status_code == 401

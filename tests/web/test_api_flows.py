"""Jobs that wait for others, over HTTP and in the admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.store import Role

Call = Callable[..., Any]
SALES: dict[str, Any] = {"job": "coinzz.sync_sales", "payload": {"empresaId": "loja-1"}}


@pytest.fixture
def call(client: FlaskClient, bearer: Callable[..., dict[str, str]]) -> Call:
    headers = bearer()
    return lambda method, path, **more: client.open(f"/api/v1{path}", method=method, headers=headers, **more)


def test_a_job_may_depend_on_others(call: Call) -> None:
    parent = call("POST", "/jobs", json=SALES).json["id"]
    options = {"dependsOn": [parent], "onParentFailure": "run"}
    answer = call("POST", "/jobs", json={**SALES, "options": options})
    assert (answer.status_code, answer.json["state"]) == (202, "deferred")
    assert call("GET", f"/jobs/{answer.json['id']}").json["dependsOn"] == [parent]
    listed = call("GET", "/jobs?queue=sync-coinzz&state=deferred").json["items"]
    assert [job["id"] for job in listed] == [answer.json["id"]]
    assert call("GET", "/queues").json["queues"][1]["deferred"] == 1


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"dependsOn": ["nowhere"]}, "parent-not-found"), ({"onParentFailure": "explode"}, "invalid-request")],
)
def test_what_cannot_be_is_refused(call: Call, options: dict[str, Any], kind: str) -> None:
    answer = call("POST", "/jobs", json={**SALES, "options": options})
    assert (answer.status_code, answer.json["type"]) == (422, f"urn:flowzz:problem:{kind}")


@pytest.mark.parametrize(("language", "word"), [("en", "deferred"), ("pt-BR", "à espera de outro")])
def test_the_admin_lists_them_in_both_languages(
    call: Call, as_role: Callable[[Role | None], FlaskClient], language: str, word: str
) -> None:
    parent = call("POST", "/jobs", json=SALES).json["id"]
    made = call("POST", "/jobs", json={**SALES, "options": {"dependsOn": [parent]}}).json["id"]
    page = as_role(Role.ADMIN).get(
        "/admin/queues/sync-coinzz?state=deferred", headers={"Accept-Language": language}, follow_redirects=True
    )
    assert page.status_code == 200
    assert word in page.text.casefold()
    assert made in page.text


def test_a_batch_says_how_far_it_is(call: Call, client: FlaskClient, flowzz: Flowzz) -> None:
    sales = (SALES["job"], SALES["payload"])
    flowzz.batch([sales, sales], callback=sales, batch_id="monday")
    flowzz.queues.cancel("monday-1")
    document = call("GET", "/batches/monday").json
    assert (document["total"], document["pending"], document["canceled"]) == (2, 1, 1)
    flowzz.queues.cancel("monday-2")
    assert call("GET", "/batches/monday").json["callbackId"] == "monday-done"
    assert call("GET", "/batches/tuesday").status_code == 404
    assert client.get("/api/v1/batches/monday").status_code == 401

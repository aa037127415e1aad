"""Batches and chains over HTTP: all or nothing, safe to repeat, and every refusal names the member and the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState

Call = Callable[..., Any]
SALES: dict[str, Any] = {"job": "coinzz.sync_sales", "payload": {"empresaId": "loja-1"}}
MESSAGE: dict[str, Any] = {
    "job": "whatsapp.send_message",
    "payload": {"empresaId": "loja-1", "to": "55", "template": "order_shipped"},
}


@pytest.fixture
def call(client: FlaskClient, bearer: Callable[..., dict[str, str]]) -> Call:
    headers = bearer()
    return lambda method, path, **more: client.open(f"/api/v1{path}", method=method, headers=headers, **more)


def stored(flowzz: Flowzz) -> int:
    return sum(queue.waiting + queue.deferred for queue in flowzz.stats())


class TestBatches:
    def test_members_and_callback_are_enqueued_together(self, call: Call, flowzz: Flowzz) -> None:
        answer = call("POST", "/batches", json={"jobs": [SALES, MESSAGE], "callback": SALES, "batchId": "monday"})
        assert (answer.status_code, answer.headers["Location"]) == (202, "/api/v1/batches/monday")
        queues = {"monday-1": (SALES["job"], "sync-coinzz"), "monday-2": (MESSAGE["job"], "whatsapp")}
        assert answer.json == {
            "id": "monday",
            "jobs": [
                {"id": job_id, "job": job, "queue": queue, "links": {"self": f"/api/v1/jobs/{job_id}"}}
                for job_id, (job, queue) in queues.items()
            ],
            "links": {"self": "/api/v1/batches/monday"},
        }
        for member in ("monday-1", "monday-2"):
            call("POST", f"/jobs/{member}/cancel")
        assert call("GET", "/batches/monday").json["callbackId"] == "monday-done"
        assert flowzz.queues.job("monday-done").name == SALES["job"]

    def test_when_a_member_fails_the_other_callback_runs(self, call: Call, flowzz: Flowzz) -> None:
        made = call("POST", "/batches", json={"jobs": [SALES], "callback": SALES, "onFailure": MESSAGE}).json
        call("POST", f"/jobs/{made['jobs'][0]['id']}/cancel")
        assert flowzz.queues.job(f"{made['id']}-done").name == MESSAGE["job"]

    def test_the_same_id_and_nonce_again_are_the_same_batch(self, call: Call, flowzz: Flowzz) -> None:
        body = {"jobs": [SALES, SALES], "batchId": "monday", "nonce": "n1"}
        first, again = call("POST", "/batches", json=body), call("POST", "/batches", json=body)
        assert (first.status_code, again.status_code, again.json) == (202, 202, first.json)
        assert stored(flowzz) == 2
        other = call("POST", "/batches", json={**body, "nonce": "n2"})
        assert (other.status_code, other.json["type"]) == (409, "urn:flowzz:problem:duplicate-job")

    def test_a_thousand_members_are_one_batch(self, call: Call) -> None:
        made = call("POST", "/batches", json={"jobs": [SALES] * 1000}).json
        assert call("GET", f"/batches/{made['id']}").json["pending"] == len(made["jobs"]) == 1000

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            ({"jobs": [SALES, {**SALES, "payload": {"empresaId": 7}}]}, 422, "jobs.1.payload.empresaId"),
            ({"jobs": [SALES, {**SALES, "options": {"attempts": 0}}]}, 422, "jobs.1.options.attempts"),
            ({"jobs": [SALES, {**SALES, "job": "coinzz.sync_sale"}]}, 404, "jobs.1.job"),
            ({"jobs": [SALES, {**SALES, "options": {"dependsOn": ["gone"]}}]}, 422, "jobs.1.options.dependsOn"),
            ({"jobs": [SALES, {**SALES, "options": {"jobId": "a", "dependsOn": ["a"]}}]}, 422, "jobs.1"),
            ({"jobs": [SALES], "callback": {**SALES, "payload": {}}}, 422, "callback.payload.empresaId"),
            ({"jobs": [SALES], "onFailure": {**SALES, "payload": {}}}, 422, "onFailure.payload.empresaId"),
            ({"jobs": [SALES], "callback": {**SALES, "options": {"jobId": "mine"}}}, 422, "callback"),
            ({"jobs": [SALES], "batchId": "a b"}, 422, "batchId"),
            ({"jobs": [SALES], "nonce": "n1"}, 422, "body"),
            ({"jobs": []}, 422, "jobs"),
            ({"jobs": [SALES] * 1001}, 422, "jobs"),
            ({"jobs": [SALES], "every": 5}, 422, "every"),
        ],
    )
    def test_a_refusal_names_the_member_and_the_field_and_stores_nothing(
        self, call: Call, flowzz: Flowzz, body: dict[str, Any], status: int, field: str
    ) -> None:
        answer = call("POST", "/batches", json=body)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
        assert [error["field"] for error in answer.json["errors"]] == [field]
        assert stored(flowzz) == 0

    def test_a_member_whose_id_is_taken_is_409_and_named(self, call: Call, flowzz: Flowzz) -> None:
        taken = {**SALES, "options": {"jobId": "mine"}}
        call("POST", "/jobs", json=taken)
        answer = call("POST", "/batches", json={"jobs": [SALES, taken]})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (409, "jobs.1.options.jobId")
        assert stored(flowzz) == 1


class TestChains:
    def test_each_runs_after_the_one_before_it(self, call: Call, flowzz: Flowzz) -> None:
        answer = call("POST", "/chains", json={"jobs": [SALES, MESSAGE, SALES]})
        assert answer.status_code == 202
        first, second, third = (flowzz.queues.job(job["id"]) for job in answer.json["jobs"])
        assert [job.state for job in (first, second, third)] == [JobState.WAITING, JobState.DEFERRED, JobState.DEFERRED]
        assert (second.depends_on, third.depends_on) == ((first.id,), (second.id,))

    @pytest.mark.parametrize(
        ("jobs", "field"),
        [
            ([SALES, {**SALES, "payload": {}}], "jobs.1.payload.empresaId"),
            ([], "jobs"),
            ([SALES] * 501, "jobs"),
        ],
    )
    def test_a_refusal_names_the_link_and_stores_nothing(
        self, call: Call, flowzz: Flowzz, jobs: list[Any], field: str
    ) -> None:
        answer = call("POST", "/chains", json={"jobs": jobs})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
        assert stored(flowzz) == 0

"""The JSON API as a backend uses it: sign in, enqueue, look, list, retry, remove, pause."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
import redis
import time_machine
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.state import JobState
from flowzz.store import Role
from support import gallery
from support.visiting import PASSWORD

SALES = {"job": "coinzz.sync_sales", "payload": {"empresaId": "loja-1"}}
Bearer = Callable[..., dict[str, str]]
Call = Callable[..., Any]


@pytest.fixture
def call(client: FlaskClient, bearer: Bearer) -> Call:
    """An ADMIN's request."""
    headers = bearer()

    def send(method: str, path: str, **options: Any) -> Any:
        more = options.pop("headers", {})
        return client.open(f"/api/v1{path}", method=method, headers={**headers, **more}, **options)

    return send


class TestSigningIn:
    def test_a_token_says_who_and_for_how_long(self, client: FlaskClient) -> None:
        login = {"email": "admin@flowzz.example", "password": PASSWORD}
        answer = client.post("/api/v1/auth/login", json=login)
        body = answer.json
        assert (answer.status_code, body["tokenType"], body["expiresIn"]) == (200, "Bearer", 3600)
        assert body["user"].keys() == {"id", "email", "role"}
        assert (body["user"]["email"], body["user"]["role"]) == ("admin@flowzz.example", "ADMIN")
        claims = jwt.decode(body["token"], options={"verify_signature": False})
        assert claims.keys() == {"iss", "aud", "sub", "exp", "nbf", "iat", "jti", "role"}
        assert (claims["sub"], claims["role"], claims["exp"] - claims["iat"]) == (body["user"]["id"], "ADMIN", 3600)

    @pytest.mark.parametrize(
        "login", [{"email": "admin@flowzz.example", "password": "wrong"}, {"email": "x@y.example", "password": "z"}]
    )
    def test_bad_credentials_are_401_without_saying_which(self, client: FlaskClient, login: dict[str, str]) -> None:
        answer = client.post("/api/v1/auth/login", json=login)
        assert answer.status_code == 401
        assert answer.json["detail"] == "e-mail or password is wrong"

    def test_a_bad_body_names_the_field_and_never_repeats_the_password(self, client: FlaskClient) -> None:
        answer = client.post("/api/v1/auth/login", json={"password": "hunter2" * 200, "more": 1})
        assert answer.status_code == 422
        assert {error["field"] for error in answer.json["errors"]} == {"email", "password", "more"}
        assert "hunter2" not in answer.text

    def test_too_many_attempts_are_429_with_the_time_to_wait(self, client: FlaskClient) -> None:
        login = {"email": "admin@flowzz.example", "password": "wrong"}
        codes = [client.post("/api/v1/auth/login", json=login).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
        answer = client.post("/api/v1/auth/login", json=login)
        assert 1 <= int(answer.headers["Retry-After"]) <= 60

    def test_an_old_token_is_refused(self, client: FlaskClient, bearer: Bearer) -> None:
        with time_machine.travel(now(), tick=False) as clock:
            headers = bearer()
            clock.shift(timedelta(minutes=59))
            assert client.get("/api/v1/queues", headers=headers).status_code == 200
            clock.shift(timedelta(minutes=2))
            refused = client.get("/api/v1/queues", headers=headers)
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]

    @pytest.mark.parametrize("trick", ["none", "other key", "other audience", "other issuer", "no expiry", "HS512"])
    def test_a_forged_token_is_refused(self, app: Any, client: FlaskClient, bearer: Bearer, trick: str) -> None:
        token = bearer()["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, options={"verify_signature": False})
        key = app.extensions["flowzz"].tokens._key
        algorithm = {"none": "none", "HS512": "HS512"}.get(trick, "HS256")
        claims |= {"other audience": {"aud": "x"}, "other issuer": {"iss": "x"}}.get(trick, {})
        if trick == "no expiry":
            del claims["exp"]
        signed = {"none": None, "other key": b"k" * 32, "HS512": key * 2}.get(trick, key)
        forged = jwt.encode(claims, signed, algorithm=algorithm)
        headers = {"Authorization": f"Bearer {forged}"}
        assert client.get("/api/v1/queues", headers=headers).status_code == 401

    def test_a_session_cookie_is_no_token(self, app: Any, bearer: Bearer) -> None:
        assert app.secret_key != app.extensions["flowzz"].tokens._key


class TestEnqueueing:
    def test_login_enqueue_poll_completed(self, call: Call, flowzz: Flowzz) -> None:
        answer = call("POST", "/jobs", json=SALES)
        job = answer.json
        assert answer.status_code == 202
        assert (job["job"], job["queue"], job["state"]) == ("coinzz.sync_sales", "sync-coinzz", "waiting")
        assert answer.headers["Location"] == job["links"]["self"] == f"/api/v1/jobs/{job['id']}"
        with gallery.working(flowzz):
            flowzz.queues.wait(job["id"], timedelta(seconds=90))
        record = call("GET", f"/jobs/{job['id']}?include=attempts,log").json
        assert (record["state"], record["result"]) == ("completed", {"synced": 144, "errors": []})
        assert (record["name"], record["companyId"], record["attemptsMade"]) == ("coinzz.sync_sales", "loja-1", 1)
        assert record["payload"] == {"empresaId": "loja-1", "forceFullSync": False}
        assert record["endedAt"].endswith("Z")
        assert [attempt["outcome"] for attempt in record["attempts"]] == ["completed"]
        assert record["log"][0]["message"].startswith("page 1")

    def test_options_are_used(self, call: Call, flowzz: Flowzz) -> None:
        options = {"jobId": "sales-1", "delay": "5m", "attempts": 7}
        answer = call("POST", "/jobs", json={**SALES, "options": options})
        assert (answer.json["id"], answer.json["state"]) == ("sales-1", "delayed")
        record = flowzz.queues.job("sales-1")
        assert (record.state, record.max_attempts) == (JobState.DELAYED, 7)
        assert record.due_at is not None
        assert timedelta(minutes=4, seconds=50) < record.due_at - now() <= timedelta(minutes=5, seconds=5)

    @pytest.mark.parametrize("option", [{"delay": 90}, {"delay": 0.5}, {"runAt": "2030-01-01T12:00:00-03:00"}])
    def test_later_comes_in_several_spellings(self, call: Call, option: dict[str, Any]) -> None:
        answer = call("POST", "/jobs", json={**SALES, "options": option})
        assert (answer.status_code, answer.json["state"]) == (202, "delayed")

    def test_an_unknown_job_is_404_with_the_nearest(self, call: Call) -> None:
        answer = call("POST", "/jobs", json={"job": "coinzz.sync_sale", "payload": {}})
        assert answer.status_code == 404
        assert answer.json["nearest"] == "coinzz.sync_sales"
        assert answer.json["type"] == "urn:flowzz:problem:unknown-job"

    def test_a_bad_payload_is_422_naming_each_field(self, call: Call) -> None:
        payload = {"forceFullSync": "perhaps", "empresaID": "x"}
        answer = call("POST", "/jobs", json={"job": "coinzz.sync_sales", "payload": payload})
        assert answer.status_code == 422
        fields = {error["field"]: error for error in answer.json["errors"]}
        assert fields.keys() == {"payload.empresaId", "payload.empresaID", "payload.forceFullSync"}
        assert fields["payload.forceFullSync"]["input"] == "perhaps"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"payload": {}}, "job"),
            ({"job": 7}, "job"),
            ({**SALES, "payload": []}, "payload"),
            ({**SALES, "priority": 1}, "priority"),
            ({**SALES, "options": {"jobId": "a:b"}}, "options.jobId"),
            ({**SALES, "options": {"jobId": "a\n"}}, "options.jobId"),
            ({**SALES, "options": {"delay": "soon"}}, "options.delay"),
            ({**SALES, "options": {"delay": -1}}, "options.delay"),
            ({**SALES, "options": {"delay": 1e300}}, "options.delay"),
            ({**SALES, "options": {"delay": True}}, "options.delay"),
            ({**SALES, "options": {"runAt": "2030-01-01T12:00:00"}}, "options.runAt"),
            ({**SALES, "options": {"attempts": 0}}, "options.attempts"),
            ({**SALES, "options": {"delay": 1, "runAt": "2030-01-01T12:00:00Z"}}, "options"),
            ([], "body"),
        ],
    )
    def test_a_bad_body_is_422_naming_the_field(self, call: Call, body: Any, field: str) -> None:
        answer = call("POST", "/jobs", json=body)
        assert answer.status_code == 422
        assert field in [error["field"] for error in answer.json["errors"]]

    def test_the_same_id_again_is_409(self, call: Call) -> None:
        body = {**SALES, "options": {"jobId": "one"}}
        assert [call("POST", "/jobs", json=body).status_code for _ in range(2)] == [202, 409]

    def test_the_same_id_and_nonce_again_is_the_same_job(self, call: Call) -> None:
        body = {**SALES, "options": {"jobId": "one", "nonce": "n"}}
        assert [call("POST", "/jobs", json=body).status_code for _ in range(2)] == [202, 200]

    def test_a_payload_over_the_limit_is_413(self, call: Call) -> None:
        big = {"empresaId": "x" * 300_000}
        answer = call("POST", "/jobs", json={"job": "coinzz.sync_sales", "payload": big})
        assert (answer.status_code, answer.json["type"]) == (413, "urn:flowzz:problem:payload-too-large")

    def test_a_body_over_the_limit_is_413_unread(self, call: Call) -> None:
        answer = call("POST", "/jobs", data=b"[" * 10_000_000, content_type="application/json")
        assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")


class TestIdempotencyKey:
    def test_a_repeat_is_the_same_job(self, call: Call, flowzz: Flowzz) -> None:
        headers = {"Idempotency-Key": "order 42/€"}
        first = call("POST", "/jobs", json=SALES, headers=headers)
        again = call("POST", "/jobs", json={**SALES, "payload": {"empresa_id": "loja-1"}}, headers=headers)
        assert (first.status_code, again.status_code) == (202, 200)
        assert first.json["id"] == again.json["id"]
        assert again.headers["Idempotent-Replayed"] == "true"
        assert flowzz.queues.stats(["sync-coinzz"])[0].waiting == 1

    def test_for_another_job_or_payload_it_is_refused(self, call: Call) -> None:
        headers = {"Idempotency-Key": "k"}
        call("POST", "/jobs", json=SALES, headers=headers)
        other = call("POST", "/jobs", json={**SALES, "payload": {"empresaId": "loja-2"}}, headers=headers)
        assert (other.status_code, other.json["type"]) == (422, "urn:flowzz:problem:idempotency-key-reused")

    def test_another_caller_has_keys_of_their_own(self, call: Call, client: FlaskClient, flowzz: Flowzz) -> None:
        from_first = call("POST", "/jobs", json=SALES, headers={"Idempotency-Key": "k"}).json["id"]
        flowzz.store.add_user("second@flowzz.example", gallery.secret(PASSWORD), Role.ADMIN)
        login = {"email": "second@flowzz.example", "password": PASSWORD}
        token = client.post("/api/v1/auth/login", json=login).json["token"]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
        assert client.post("/api/v1/jobs", json=SALES, headers=headers).json["id"] != from_first

    def test_it_excludes_an_id_of_ones_own(self, call: Call) -> None:
        body = {**SALES, "options": {"jobId": "one"}}
        answer = call("POST", "/jobs", json=body, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "options.jobId")

    @pytest.mark.parametrize("key", ["", "k" * 256])
    def test_it_has_bounds(self, call: Call, key: str) -> None:
        assert call("POST", "/jobs", json=SALES, headers={"Idempotency-Key": key}).status_code == 400


class TestLookingAndActing:
    def test_an_unknown_id_is_404(self, call: Call) -> None:
        for method, path in (("GET", "/jobs/nope"), ("POST", "/jobs/nope/retry"), ("DELETE", "/jobs/nope")):
            answer = call(method, path)
            assert (answer.status_code, answer.json["type"]) == (404, "urn:flowzz:problem:job-not-found")

    def test_jobs_are_listed_by_page(self, call: Call) -> None:
        ids = [call("POST", "/jobs", json=SALES).json["id"] for _ in range(3)]
        page = call("GET", "/jobs?queue=sync-coinzz&state=waiting&offset=1&limit=1").json
        assert (page["total"], page["offset"], page["limit"], len(page["items"])) == (3, 1, 1, 1)
        assert page["items"][0]["id"] in ids

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("", "queue"),
            ("queue=sync-coinzz&state=lost", "state"),
            ("queue=sync-coinzz&limit=201", "limit"),
            ("queue=sync-coinzz&limit=0", "limit"),
            ("queue=sync-coinzz&offset=-1", "offset"),
            ("queue=sync-coinzz&offset=99999999999", "offset"),
            ("queue=sync-coinzz&page=2", "page"),
        ],
    )
    def test_a_bad_query_is_422_naming_the_parameter(self, call: Call, query: str, field: str) -> None:
        answer = call("GET", f"/jobs?{query}")
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)

    def test_an_unknown_queue_is_404_with_the_nearest(self, call: Call) -> None:
        for method, path in (("GET", "/jobs?queue=sync-coinz"), ("POST", "/queues/sync-coinz/pause")):
            answer = call(method, path)
            assert (answer.status_code, answer.json["nearest"]) == (404, "sync-coinzz")

    def test_retry_and_remove_only_where_the_state_allows(self, call: Call, flowzz: Flowzz) -> None:
        job_id = call("POST", "/jobs", json=SALES).json["id"]
        refused = call("POST", f"/jobs/{job_id}/retry")
        assert refused.status_code == 409
        assert "it is waiting" in refused.json["detail"]
        assert call("DELETE", f"/jobs/{job_id}").status_code == 204
        assert call("GET", f"/jobs/{job_id}").status_code == 404
        assert [entry.action for entry in flowzz.store.audit()] == ["job.remove"]

    def test_retry_puts_a_delayed_job_to_work(self, call: Call) -> None:
        job_id = call("POST", "/jobs", json={**SALES, "options": {"delay": "1h"}}).json["id"]
        assert call("POST", f"/jobs/{job_id}/retry").json["state"] == "waiting"

    def test_a_queue_is_paused_and_resumed(self, call: Call, flowzz: Flowzz) -> None:
        paused = call("POST", "/queues/whatsapp/pause", json={"reason": "template review"}).json
        assert (paused["name"], paused["isPaused"], paused["pauseReason"]) == ("whatsapp", True, "template review")
        assert call("POST", "/queues/whatsapp/resume").json["isPaused"] is False
        assert [entry.action for entry in flowzz.store.audit()] == ["queue.resume", "queue.pause"]

    def test_queues_are_listed_with_their_counts(self, call: Call) -> None:
        call("POST", "/jobs", json=SALES)
        queues = {queue["name"]: queue for queue in call("GET", "/queues").json["queues"]}
        assert queues.keys() == {"reports", "sync-coinzz", "sync-facebook", "whatsapp"}
        assert queues["sync-coinzz"]["waiting"] == 1


class TestProblems:
    @pytest.mark.parametrize(
        ("method", "path", "options", "status"),
        [
            ("GET", "/nowhere", {}, 404),
            ("PUT", "/jobs", {}, 405),
            ("POST", "/jobs", {"data": "job=x"}, 415),
            ("POST", "/jobs", {"data": "{}", "content_type": "text/plain"}, 415),
            ("POST", "/jobs", {"data": '{"job": ', "content_type": "application/json"}, 400),
            ("POST", "/jobs", {"data": b"\xff\xfe", "content_type": "application/json"}, 400),
            ("POST", "/jobs", {"data": '{"job": NaN}', "content_type": "application/json"}, 400),
            ("POST", "/jobs", {"data": '{"job": "\\ud800"}', "content_type": "application/json"}, 400),
            ("POST", "/jobs", {"data": "[" * 100_000, "content_type": "application/json"}, 400),
            ("POST", "/jobs", {"data": "1" * 5_000, "content_type": "application/json"}, 400),
        ],
    )
    def test_are_rfc_9457_without_a_trace(
        self, call: Call, method: str, path: str, options: dict[str, Any], status: int
    ) -> None:
        answer = call(method, path, **options)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
        body = json.loads(answer.text)
        assert {"type", "title", "status", "detail"} <= body.keys()
        assert body["status"] == status
        assert "Traceback" not in answer.text
        if status == 405:
            assert "POST" in answer.headers["Allow"]


class TestDuplicatesAndExpiry:
    def test_an_earlier_job_with_the_same_key_is_200(self, call: Call) -> None:
        body = {**SALES, "options": {"uniqueKey": "order-7"}}
        first, second = (call("POST", "/jobs", json=body) for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 200)
        assert second.json["id"] == first.json["id"]
        assert second.headers["Location"] == first.headers["Location"]

    @pytest.mark.parametrize("expires", ["1h", 3600, "2126-11-24T12:00:00Z"])
    def test_an_expiry_is_a_time_or_a_moment(self, call: Call, flowzz: Flowzz, expires: object) -> None:
        answer = call("POST", "/jobs", json={**SALES, "options": {"expires": expires}})
        assert answer.status_code == 202

    @pytest.mark.parametrize("expires", ["soon", "2126-11-24T12:00:00", True, 0])
    def test_any_other_expiry_is_refused(self, call: Call, expires: object) -> None:
        answer = call("POST", "/jobs", json={**SALES, "options": {"expires": expires}})
        assert answer.status_code == 422
        assert "expires" in answer.json["detail"]


class TestBulk:
    def test_many_are_enqueued_in_their_order(self, call: Call, flowzz: Flowzz) -> None:
        jobs = [{**SALES, "options": {"jobId": f"j{n}"}} for n in range(1000)]
        answer = call("POST", "/jobs/bulk", json={"jobs": jobs})
        made = answer.json["jobs"]
        assert answer.status_code == 202
        assert [job["id"] for job in made] == [f"j{n}" for n in range(1000)]
        assert made[0] == {
            "id": "j0", "job": "coinzz.sync_sales", "queue": "sync-coinzz", "created": True,
            "links": {"self": "/api/v1/jobs/j0"},
        }  # fmt: skip
        assert flowzz.queues.jobs("sync-coinzz", JobState.WAITING).total == 1000

    def test_one_that_is_refused_stops_all_and_is_named(self, call: Call, flowzz: Flowzz) -> None:
        answer = call("POST", "/jobs/bulk", json={"jobs": [SALES, {**SALES, "payload": {"empresaId": 7}}]})
        assert answer.status_code == 422
        assert answer.json["detail"].startswith("jobs.1: payload of coinzz.sync_sales refused")
        assert [error["field"] for error in answer.json["errors"]] == ["jobs.1.payload.empresaId"]
        assert flowzz.queues.jobs("sync-coinzz", JobState.WAITING).total == 0

    @pytest.mark.parametrize("count", [0, 1001])
    def test_more_than_a_thousand_or_none_is_refused(self, call: Call, count: int) -> None:
        assert call("POST", "/jobs/bulk", json={"jobs": [SALES] * count}).status_code == 422

    def test_an_id_that_is_taken_is_409(self, call: Call, flowzz: Flowzz) -> None:
        taken = {**SALES, "options": {"jobId": "mine"}}
        call("POST", "/jobs", json=taken)
        assert call("POST", "/jobs/bulk", json={"jobs": [SALES, taken]}).status_code == 409
        assert flowzz.queues.jobs("sync-coinzz", JobState.WAITING).total == 1


def test_a_full_redis_is_503_with_the_remedy_and_nothing_is_stored(call: Call, flowzz: Flowzz, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.config_set("maxmemory", "1")
        try:
            answer = call("POST", "/jobs", json=SALES)
            bulk = call("POST", "/jobs/bulk", json={"jobs": [SALES, SALES]})
        finally:
            raw.config_set("maxmemory", "0")
    assert (answer.status_code, bulk.status_code) == (503, 503)
    assert "out of memory" in answer.json["detail"]
    assert int(answer.headers["Retry-After"]) > 0
    assert flowzz.queues.jobs("sync-coinzz", JobState.WAITING).total == 0

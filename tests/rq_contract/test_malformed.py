"""Jobs broken in every way that Redis can hold: failed or quarantined with the reason, seen, and harmless."""

from __future__ import annotations

import json
import pickle
import zlib
from datetime import timedelta

import pytest
import redis
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.errors import JobNotFound
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.fields import ENTRY, dump_call
from flowzz.store import Role
from flowzz_web import create_app
from rq_contract.conftest import Work
from support.visiting import HTML, PASSWORD, sign_in
from support.waiting import eventually

SOON = timedelta(seconds=90)
GOOD = dump_call("probe.work", {})
HUGE = "9" * 5_000
ENVELOPE = '{"job":"probe.work","attempts":3,"max_stalled":1,"nonce":"n"}'

UNREADABLE: dict[str, dict[str, str | bytes]] = {
    "pickled": {"data": pickle.dumps((ENTRY, None, ("probe.work", {}), {}))},
    "pickled-and-packed": {"data": zlib.compress(pickle.dumps((ENTRY, None, ("probe.work", {}), {})))},
    "no-utf8": {"data": b'["\xff\xfe", null, [], {}]'},
    "truncated": {"data": GOOD[:-9]},
    "nan": {"data": GOOD.replace("{}", '{"share": NaN}', 1)},
    "infinity": {"data": GOOD.replace("{}", '{"share": -Infinity}', 1)},
    "deep": {"data": "[" * 10_000 + "]" * 10_000},
    "deep-payload": {"data": GOOD.replace("{}", "[" * 10_000 + "]" * 10_000, 1)},
    **{f"deep-{depth}": {"data": GOOD.replace("{}", "[" * depth + "]" * depth, 1)} for depth in range(100, 1000, 100)},
    "no-call": {"data": '{"job": "probe.work"}'},
    "wrong-types": {"data": '[["flowzz"], 7, {"a": 1}, []]'},
    "other-callable": {"data": GOOD.replace(ENTRY, "os.path.join", 1)},
    "other-callable-of-ours": {"data": GOOD.replace(ENTRY, "flowzz.workers.entry._app", 1)},
    "no-arguments": {"data": json.dumps([ENTRY, None, [], {}])},
    "name-of-wrong-type": {"data": json.dumps([ENTRY, None, [7, {}], {}])},
    "empty": {"data": ""},
    "packed-bomb": {"data": zlib.compress(b" " * (64 * 1024 * 1024), 9)},
    "bad-zlib": {"data": zlib.compress(GOOD.encode())[:-6]},
    "bad-envelope": {"data": GOOD, "flowzz": "[1]"},
    "deep-envelope": {"data": GOOD, "flowzz": "[" * 10_000},
    "payload-of-wrong-type": {"data": GOOD.replace("{}", '"text"', 1)},
    "surrogate": {"data": GOOD.replace("{}", '{"empresaId": "\\ud800", "folder": 7}', 1)},
}
READABLE: dict[str, dict[str, str | bytes]] = {
    "duplicate-keys": {"data": GOOD.replace("{}", '{"pages": 1, "pages": 2}', 1)},
    "counters": {"data": GOOD, "flowzz_attempts": "many", "flowzz_stalled": "-1", "timeout": "soon"},
    "counters-too-long": {"data": GOOD, "flowzz_attempts": HUGE, "flowzz_stalled": HUGE, "number_of_retries": HUGE},
    "times": {"data": GOOD, "created_at": "yesterday", "enqueued_at": "\xff", "started_at": HUGE},
    "notes": {
        "data": GOOD, "flowzz_progress": '[1e999, "\\ud800"]', "flowzz_error": "[" * 10_000, "flowzz_note": b"\xff",
        "description": b"\xff" * 300, "meta": b"\x80\x04.", "flowzz_expires": "never",
    },
}  # fmt: skip


def push(raw: redis.Redis, job_id: str, fields: dict[str, str | bytes]) -> None:
    raw.hset(keys.JOB(job_id), mapping={"status": "queued", "origin": "probe", **fields})
    raw.sadd(keys.QUEUES(), keys.QUEUE("probe"))
    raw.rpush(keys.QUEUE("probe"), job_id)


@pytest.fixture
def visit(app: Flowzz) -> object:
    """Status codes of what API and admin answer about a job."""
    app.store.add_user("admin@flowzz.example", SecretStr(PASSWORD), Role.ADMIN)
    web = create_app(app)
    client = web.test_client()
    sign_in(client)
    user = app.store.user_by_email("admin@flowzz.example")
    assert user is not None
    bearer = {"Authorization": f"Bearer {web.extensions['flowzz'].tokens.issue(user)}"}

    def codes(job_id: str) -> list[int]:
        return [
            client.get(f"/admin/jobs/{job_id}", headers=HTML).status_code,
            client.get(f"/api/v1/jobs/{job_id}", headers=bearer).status_code,
            client.get(f"/api/v1/jobs/{job_id}/explain", headers=bearer).status_code,
        ] + [client.get(f"/admin/queues/probe?state={state}", headers=HTML).status_code for state in JobState]

    return codes


def test_every_broken_job_fails_with_its_reason_and_can_be_looked_at(
    app: Flowzz, working: Work, raw: redis.Redis, visit: object
) -> None:
    for job_id, fields in {**UNREADABLE, **READABLE}.items():
        push(raw, job_id, fields)
    assert callable(visit)
    before = {job_id: visit(job_id) for job_id in [*UNREADABLE, *READABLE]}
    with working():
        for job_id in UNREADABLE:
            job = app.queues.wait(job_id, SOON)
            assert (job_id, job.state) == (job_id, JobState.FAILED)
            assert job.error is not None
            assert job.error.message
        for job_id in READABLE:
            assert (job_id, app.queues.wait(job_id, SOON).state) == (job_id, JobState.COMPLETED)
        assert app.queues.wait(app.enqueue("probe.work", {}), SOON).state is JobState.COMPLETED
    after = {job_id: visit(job_id) for job_id in before}
    assert {code for codes in [*before.values(), *after.values()] for code in codes} == {200}, (before, after)


def test_what_is_no_job_at_all_is_quarantined(app: Flowzz, working: Work, raw: redis.Redis) -> None:
    raw.sadd(keys.QUEUES(), keys.QUEUE("probe"))
    raw.set(keys.JOB("a-string"), "text")
    raw.lpush(keys.JOB("a-list"), "text")
    raw.hset(keys.JOB("no-data"), mapping={"status": "queued", "origin": "probe"})
    for job_id in (b"a-string", b"a-list", b"no-data", b"no-hash", b"\xff\xfe", b"", b"with:colon"):
        raw.rpush(keys.QUEUE("probe"), job_id)
    with working():
        assert app.queues.wait(app.enqueue("probe.work", {}), SOON).state is JobState.COMPLETED
        eventually(lambda: raw.llen(keys.QUEUE("probe")) == 0)
    reasons = app.queues.quarantined()
    assert set(reasons) == {"a-string", "a-list", "no-data", "no-hash", "\ufffd\ufffd", "", "with:colon"}
    assert all(json.loads(reason)["reason"] for reason in reasons.values())
    with pytest.raises(JobNotFound):
        app.queues.job("a-string")


def test_an_id_that_is_no_text_and_one_with_a_colon_end_in_a_state(
    app: Flowzz, working: Work, raw: redis.Redis
) -> None:
    push(raw, "with:colon", {"data": GOOD})
    with working():
        assert app.queues.wait("with:colon", SOON).state is JobState.COMPLETED
    assert app.queues.stats(["probe"])[0].active == 0


def test_a_pickled_job_in_the_started_registry_is_rescued_into_failure(
    app: Flowzz, working: Work, raw: redis.Redis
) -> None:
    """As a stock worker leaves it that was killed while it ran it."""
    raw.hset(keys.JOB("lost"), mapping={"status": "started", "origin": "probe", **UNREADABLE["pickled"]})
    raw.sadd(keys.QUEUES(), keys.QUEUE("probe"))
    raw.zadd(keys.WIP("probe"), {"lost:of-a-stock-worker": 1})
    with working():
        job = app.queues.wait("lost", SOON)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "pickled" in job.error.message
    assert [attempt.outcome for attempt in app.queues.attempts("lost")] == ["stalled", "failed"]


def test_a_delayed_pickled_job_fails_when_it_is_due(app: Flowzz, working: Work, raw: redis.Redis) -> None:
    raw.hset(keys.JOB("later"), mapping={"status": "scheduled", "origin": "probe", **UNREADABLE["pickled"]})
    raw.zadd(keys.SCHEDULED("probe"), {"later": 1})
    with working():
        assert app.queues.wait("later", SOON).state is JobState.FAILED


def test_a_score_that_is_no_time_is_shown_without_one(app: Flowzz, raw: redis.Redis, visit: object) -> None:
    raw.hset(keys.JOB("far"), mapping={"status": "scheduled", "origin": "probe", "data": GOOD})
    raw.zadd(keys.SCHEDULED("probe"), {"far": float("inf")})
    assert app.queues.job("far").due_at is None
    assert callable(visit)
    assert set(visit("far")) == {200}

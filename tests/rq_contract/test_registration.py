"""What RQ's own tests ask of a worker: a registration lives by its heartbeat, a job has its times, any text arrives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.worker import Worker

from flowzz.app import Flowzz
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.reading import pack_text
from rq_contract.conftest import Fetch, Work
from rq_contract.test_commands import SOON
from support.engine import completed, ended, failure_text, new_job, step

TEXTS = ["ação 日本語 🚚 Привет", "עברית\u200f", "a\x00b\ttab", "line\nfeed"]


def beat(queues: Queues, worker: str, state: str = "idle") -> None:
    fields = {"hostname": "host", "pid": 7, "queues": "sync,more", "state": state}
    queues.transitions.renew(worker, lease_ms=9000, ttl_s=60, fields=fields, queues=["sync", "more"], executions=[])


def rq_worker(raw: redis.Redis, name: str) -> Worker:
    found = Worker.find_by_key(keys.WORKER(name), connection=raw)
    assert isinstance(found, Worker)
    return found


def test_a_registration_lives_by_its_heartbeat(queues: Queues, raw: redis.Redis) -> None:
    beat(queues, "w1")
    first = rq_worker(raw, "w1")
    assert first.last_heartbeat is not None
    assert abs(datetime.now(UTC) - first.last_heartbeat) < timedelta(seconds=10)
    assert 0 < raw.ttl(keys.WORKER("w1")) <= 60
    raw.delete(keys.WORKER("w1"))
    beat(queues, "w1", "busy")
    again = rq_worker(raw, "w1")
    assert (again.get_state(), 0 < raw.ttl(keys.WORKER("w1")) <= 60) == ("busy", True)
    assert again.last_heartbeat is not None
    assert again.last_heartbeat > first.last_heartbeat


def test_a_worker_that_crashed_leaves_every_list_at_the_next_sweep(queues: Queues, raw: redis.Redis) -> None:
    beat(queues, "w1")
    beat(queues, "crashed")
    raw.delete(keys.WORKER("crashed"))
    queues.transitions.rescue(limit=100, keep_failed=200, failure_text=failure_text(), max_stalled=1)
    for listed in (keys.WORKERS(), keys.WORKERS_OF("sync"), keys.WORKERS_OF("more")):
        assert raw.smembers(listed) == {keys.WORKER("w1").encode()}


def test_a_sign_off_says_when(queues: Queues, raw: redis.Redis) -> None:
    beat(queues, "w1")
    queues.transitions.deregister("w1", ["sync", "more"])
    assert raw.hexists(keys.WORKER("w1"), "death")
    assert 0 < raw.ttl(keys.WORKER("w1")) <= 60
    assert not raw.exists(keys.WORKERS(), keys.WORKERS_OF("sync"), keys.WORKERS_OF("more"))


def test_a_job_has_its_times_in_order(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, completed(claim), want=0)
    job = fetch("a")
    times = [job.created_at, job.enqueued_at, job.started_at, job.ended_at]
    assert None not in times
    assert times == sorted(time for time in times if time)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_goes_there_and_back(queues: Queues, raw: redis.Redis, fetch: Fetch, text: str) -> None:
    queues.transitions.enqueue([new_job("a", payload={"text": text}), new_job("b")])
    assert fetch("a").args[1] == {"text": text}
    claims = {claim.job_id: claim for claim in step(queues).claims}
    step(queues, completed(claims["a"], {"text": text}), ended(claims["b"], "failed", body=pack_text(text)), want=0)
    assert fetch("a").return_value() == {"text": text}
    failed = fetch("b").latest_result()
    assert failed is not None
    assert failed.exc_string == text


def test_arguments_by_name_and_by_place_are_the_same(app: Flowzz, working: Work, theirs: Queue) -> None:
    entry = "flowzz.workers.entry.run_job"
    place = theirs.enqueue(entry, "probe.work", {})
    name = theirs.enqueue(entry, job="probe.work", payload={})
    with working():
        assert [app.queues.wait(one.id, SOON).state.value for one in (place, name)] == ["completed"] * 2
    assert Queue("probe", connection=theirs.connection, serializer=JSONSerializer).count == 0

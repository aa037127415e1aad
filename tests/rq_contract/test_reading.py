"""Plain RQ reads what we write: ``Job.fetch`` in every state, ``rq info`` for queues and workers."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker, Worker

from flowzz.app import Flowzz
from flowzz.errors import InvalidRequest
from flowzz.jobs.options import EnqueueOptions
from flowzz.queues.engine import Queues
from flowzz.queues.fields import ENTRY
from flowzz.queues.reading import pack_text
from support.engine import completed, ended, new_job, step


def fetch(raw: redis.Redis, job_id: str) -> Job:
    return Job.fetch(job_id, connection=raw, serializer=JSONSerializer)


def test_a_waiting_job(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a", payload={"empresaId": "loja-1"})])
    job = fetch(raw, "a")
    assert job.get_status() is JobStatus.QUEUED
    assert (job.func_name, job.args) == (ENTRY, ["probe.work", {"empresaId": "loja-1"}])
    assert (job.origin, job.description, job.timeout) == ("sync", "probe.work", 900)
    assert job.created_at == job.enqueued_at == queues.job("a").created_at
    assert Queue("sync", connection=raw, serializer=JSONSerializer).job_ids == ["a"]


def test_an_active_job(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues, worker="w1").claims
    job = fetch(raw, "a")
    assert job.get_status() is JobStatus.STARTED
    assert job.worker_name == "w1"
    assert job.started_at is not None
    registry = Queue("sync", connection=raw).started_job_registry
    assert registry.get_job_ids() == ["a"]
    assert registry.get_job_and_execution_ids() == [("a", claim.execution_id)]


def test_a_completed_job(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, completed(claim, {"synced": 3}))
    job = fetch(raw, "a")
    assert job.get_status() is JobStatus.FINISHED
    assert job.return_value() == {"synced": 3}
    assert job.ended_at is not None
    latest = job.latest_result()
    assert latest is not None
    assert (latest.type, latest.worker_name, latest.execution_id) == (
        Result.Type.SUCCESSFUL, "w1", claim.execution_id,
    )  # fmt: skip
    assert Queue("sync", connection=raw).finished_job_registry.get_job_ids() == ["a"]


def test_a_failed_job(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "failed", body=pack_text("Traceback …\nValueError: broken")))
    job = fetch(raw, "a")
    assert job.get_status() is JobStatus.FAILED
    latest = job.latest_result()
    assert latest is not None
    assert latest.type is Result.Type.FAILED
    assert latest.exc_string == "Traceback …\nValueError: broken"
    assert Queue("sync", connection=raw).failed_job_registry.get_job_ids() == ["a"]


def test_a_delayed_job_and_one_that_waits_for_its_retry(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("later", due="in:60000"), new_job("again")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "retrying", delay_ms=60_000, body=pack_text("ValueError: broken")))
    assert fetch(raw, "later").get_status() is fetch(raw, "again").get_status() is JobStatus.SCHEDULED
    registry = Queue("sync", connection=raw).scheduled_job_registry
    assert set(registry.get_job_ids()) == {"later", "again"}
    assert registry.get_scheduled_time("later") == queues.job("later").due_at
    latest = fetch(raw, "again").latest_result()
    assert latest is not None
    assert latest.exc_string == "ValueError: broken"


def test_a_canceled_and_a_parked_job(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("parked")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "parked", note="probe.work"))
    queues.transitions.enqueue([new_job("canceled")])
    queues.cancel("canceled")
    assert fetch(raw, "canceled").get_status() is JobStatus.CANCELED
    assert fetch(raw, "parked").get_status() is JobStatus.DEFERRED


def test_rq_info_lists_queues_and_workers_and_changes_nothing(queues: Queues, raw: redis.Redis, redis_url: str) -> None:
    queues.transitions.enqueue([new_job(f"job-{n}") for n in range(5)])
    claims = step(queues, want=3).claims
    step(queues, completed(claims[0]), ended(claims[1], "failed"), want=0)
    fields = {"hostname": "host", "ip_address": "", "pid": 7, "queues": "sync", "state": "busy"}
    queues.transitions.renew("w1", lease_ms=30_000, ttl_s=60, fields=fields, queues=["sync"], executions=[])
    before = queues.stats(["sync"])
    command = [Path(sys.executable).with_name("rq"), "info", "--url", redis_url, "--raw"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert "queue sync 2, 1 executing, 1 finished, 1 failed" in shown
    assert "worker w1 (host None 7) busy sync. jobs: 1 finished, 1 failed" in shown
    after = queues.stats(["sync"])
    assert [(s.waiting, s.active, s.completed, s.failed) for s in after] == [
        (s.waiting, s.active, s.completed, s.failed) for s in before
    ]


def test_rq_finds_our_worker_until_it_signs_off(queues: Queues, raw: redis.Redis) -> None:
    fields = {"hostname": "host", "pid": 7, "queues": "sync,more", "state": "idle"}
    queues.transitions.renew("w1", lease_ms=30_000, ttl_s=60, fields=fields, queues=["sync", "more"], executions=[])
    (worker,) = Worker.all(connection=raw)
    assert isinstance(worker, BaseWorker)
    assert (worker.name, worker.pid, worker.queue_names()) == ("w1", 7, ["sync", "more"])
    assert worker.birth_date is not None
    assert [w.name for w in Worker.all(queue=Queue("more", connection=raw))] == ["w1"]
    queues.transitions.deregister("w1", ["sync", "more"])
    assert Worker.all(connection=raw) == []
    assert queues.workers() == []


def test_a_job_that_plain_rq_enqueued_is_claimed(queues: Queues, raw: redis.Redis) -> None:
    theirs = Queue("sync", connection=raw, serializer=JSONSerializer)
    job = theirs.enqueue(ENTRY, args=("probe.work", {"empresaId": "loja-1"}))
    assert queues.job(job.id).payload == {"empresaId": "loja-1"}
    (claim,) = step(queues).claims
    assert claim.job_id == job.id
    step(queues, completed(claim, 1))
    assert fetch(raw, job.id).return_value() == 1


def test_rq_can_load_every_id_that_we_give(app: Flowzz, raw: redis.Redis) -> None:
    app.batch([("probe.work", {}), ("probe.work", {})], callback=("probe.work", {}), batch_id="b")
    for claim in step(app.queues, served=("probe",)).claims:
        step(app.queues, completed(claim), want=0)
    tick = datetime(2026, 3, 1, tzinfo=UTC)
    schedule = next(iter(app.plugins.schedules.values()))
    app.fire(schedule, tick)
    app.run_schedule(schedule, "r1", "nobody")
    app.enqueue("probe.work", {})
    ids = Queue("probe", connection=raw, serializer=JSONSerializer).job_ids
    assert len(ids) >= 4
    assert [fetch(raw, job_id).id for job_id in ["b-1", "b-2", *ids]] == ["b-1", "b-2", *ids]


@pytest.mark.parametrize("job_id", ["a.b", "a:b", "", "ä", "a b", "x" * 101])
def test_an_id_that_rq_cannot_load_is_refused(app: Flowzz, job_id: str) -> None:
    with pytest.raises(InvalidRequest, match="jobId"):
        app.enqueue("probe.work", {}, EnqueueOptions(job_id=job_id))

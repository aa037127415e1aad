"""Options of a plain ``rq.Queue.enqueue``: what a worker of ours honours, refuses and ignores (docs/rq-contract.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from rq import Callback, Queue, Repeat, Retry

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.fields import ENTRY
from rq_contract.conftest import Fetch, Work
from support.engine import ended, new_job, step
from support.waiting import eventually

SOON = timedelta(seconds=90)
FAILS = ("probe.work", {"failUntil": 9})


def test_retry_is_honoured_with_its_count_and_intervals(
    app: Flowzz, working: Work, theirs: Queue, fetch: Fetch, raw: redis.Redis
) -> None:
    job_id = theirs.enqueue(ENTRY, args=FAILS, retry=Retry(max=2, interval=[0, 600])).id
    assert app.queues.job(job_id).max_attempts == 3
    with working():
        eventually(lambda: len(app.queues.attempts(job_id)) == 2)
        due = app.queues.job(job_id).due_at
        raw.zadd(keys.SCHEDULED("probe"), {job_id: 1})
        job = app.queues.wait(job_id, SOON)
    assert (job.state, job.attempts_made, job.max_attempts) == (JobState.FAILED, 3, 3)
    attempts = app.queues.attempts(job_id)
    assert [attempt.outcome for attempt in attempts] == ["retrying", "retrying", "failed"]
    first, second, _ = attempts
    assert second.started_at is not None
    assert second.started_at - first.ended_at < timedelta(seconds=300)
    assert due is not None
    assert timedelta(seconds=599) < due - second.ended_at < timedelta(seconds=660)
    shown = fetch(job_id)
    assert (shown.retries_left, shown.number_of_retries) == (0, 2)


def test_without_retry_the_policy_of_the_job_counts(app: Flowzz, working: Work, theirs: Queue) -> None:
    job_id = theirs.enqueue(ENTRY, args=FAILS).id
    with working():
        assert app.queues.wait(job_id, SOON).attempts_made == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"retries_left": "many"},
        {"retries_left": "9" * 5000},
        {"retries_left": "1", "retry_intervals": '["x", NaN, -5]'},
    ],
)
def test_senseless_retries_do_not_stop_the_worker(
    app: Flowzz, working: Work, theirs: Queue, raw: redis.Redis, fields: dict[str, str]
) -> None:
    job = theirs.create_job(ENTRY, args=("probe.work", {"failUntil": 1}))
    job.save()
    raw.hset(job.key, mapping={**fields, "status": "queued"})
    raw.rpush(theirs.key, job.id)
    with working():
        assert app.queues.wait(job.id, SOON).state is JobState.COMPLETED


def test_at_front_runs_before_what_waits(queues: Queues, raw: redis.Redis, theirs: Queue) -> None:
    queues.transitions.enqueue([new_job(f"ours{n}", queue="probe") for n in range(3)])
    for job_id in ("second", "first"):
        theirs.enqueue("any", job_id=job_id, at_front=True)
    theirs.enqueue("any", job_id="last")
    claims = step(queues, served=("probe",)).claims
    assert [claim.job_id for claim in claims][:2] == ["first", "second"]
    assert {claim.job_id for claim in claims} == {"first", "second", "ours0", "ours1", "ours2", "last"}


def test_enqueue_at_waits_for_its_time(app: Flowzz, working: Work, theirs: Queue) -> None:
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    job_id = theirs.enqueue_at(due, ENTRY, "probe.work", {}).id
    assert app.queues.job(job_id).due_at == due
    with working():
        job = app.queues.wait(job_id, SOON)
    assert job.state is JobState.COMPLETED
    assert job.started_at is not None
    assert job.started_at >= due


def test_meta_is_kept_and_result_ttl_and_timeout_are_not_ours_to_follow(
    app: Flowzz, working: Work, theirs: Queue, fetch: Fetch, raw: redis.Redis
) -> None:
    job_id = theirs.enqueue(
        ENTRY, args=("probe.work", {}), meta={"ticket": 17}, result_ttl=0, failure_ttl=1, job_timeout=1
    ).id
    with working():
        assert app.queues.wait(job_id, SOON).state is JobState.COMPLETED
    assert (fetch(job_id).meta, raw.ttl(keys.JOB(job_id))) == ({"ticket": 17}, -1)


def test_a_job_whose_ttl_ended_while_it_waited_is_quarantined(queues: Queues, theirs: Queue, raw: redis.Redis) -> None:
    theirs.enqueue("any", job_id="old", ttl=60)
    raw.pexpire(keys.JOB("old"), 1)
    eventually(lambda: not raw.exists(keys.JOB("old")))
    theirs.enqueue("any", job_id="young")
    assert [claim.job_id for claim in step(queues, served=("probe",)).claims] == ["young"]
    assert "its hash is gone" in queues.quarantined()["old"]


def test_callbacks_are_never_imported(
    app: Flowzz, working: Work, theirs: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap_of_callbacks.py"
    trap.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef call(*args): ...\n")
    called = Callback("trap_of_callbacks.call")
    ids = [
        theirs.enqueue(ENTRY, args=("probe.work", payload), on_success=called, on_failure=called, on_stopped=called).id
        for payload in ({}, {"raises": "permanent"})
    ]
    monkeypatch.syspath_prepend(str(tmp_path))
    with working():
        assert [app.queues.wait(job_id, SOON).state for job_id in ids] == [JobState.COMPLETED, JobState.FAILED]
    assert not (tmp_path / "ran").exists()


def test_repeat_runs_once(app: Flowzz, working: Work, theirs: Queue) -> None:
    job_id = theirs.enqueue(ENTRY, args=("probe.work", {}), repeat=Repeat(times=3, interval=0)).id
    with working():
        assert app.queues.wait(job_id, SOON).state is JobState.COMPLETED
        after = app.enqueue("probe.work", {})
        assert app.queues.wait(after, SOON).state is JobState.COMPLETED
    assert len(app.queues.attempts(job_id)) == 1


def test_depends_on_waits_for_a_job_of_ours(app: Flowzz, working: Work, theirs: Queue, fetch: Fetch) -> None:
    parent = app.enqueue("probe.work", {})
    child = theirs.enqueue(ENTRY, args=("probe.work", {}), depends_on=parent).id
    assert fetch(child).is_deferred
    with working():
        assert app.queues.wait(parent, SOON).state is JobState.COMPLETED
        assert eventually(lambda: app.queues.job(child).state is JobState.COMPLETED)


def test_depends_on_goes_by_how_the_parent_ended(queues: Queues, theirs: Queue, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("parent", queue="probe"), new_job("other", queue="probe")])
    strict = theirs.enqueue("any", job_id="strict", depends_on=[fetch("parent"), fetch("other")])
    for claim in step(queues, served=("probe",)).claims:
        step(queues, ended(claim, "failed" if claim.job_id == "parent" else "completed"), want=0)
    queues.transitions.rescue(limit=10, keep_failed=9, failure_text="", max_stalled=1)
    assert strict.get_status() == "deferred"
    queues.retry("parent")
    (claim,) = step(queues, served=("probe",)).claims
    step(queues, ended(claim, "completed"), want=0)
    queues.transitions.rescue(limit=10, keep_failed=9, failure_text="", max_stalled=1)
    assert [claim.job_id for claim in step(queues, served=("probe",)).claims] == ["strict"]

"""Plain RQ cancels, deletes or requeues a job that stands in relation to others: by a key, a family, a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.jobs.options import EnqueueOptions, ParentPolicy
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.admission import Admission
from flowzz.queues.claims import Claim
from flowzz.queues.engine import Queues
from flowzz.queues.new_job import NewJob
from flowzz.workers.sweeper import Sweeper
from rq_contract.conftest import Fetch
from support.engine import completed, ended, failure_text, new_job, step

WORK, DONE, BAD = ("probe.work", {}), ("probe.work", {"raises": "done"}), ("probe.work", {"raises": "bad"})


def unique(job_id: str) -> NewJob:
    return replace(new_job(job_id, attempts=1), admission=Admission(key="u:probe.work||k"))


def child(job_id: str, *parents: str, policy: ParentPolicy = "fail") -> NewJob:
    new = new_job(job_id)
    return replace(new, admission=new.admission.after(parents, policy))


def claims(queues: Queues, *served: str) -> dict[str, Claim]:
    return {claim.job_id: claim for claim in step(queues, served=served or ("sync",)).claims}


def sweep(queues: Queues) -> None:
    queues.transitions.rescue(limit=100, keep_failed=200, failure_text=failure_text(), max_stalled=1)


def prune(queues: Queues) -> None:
    def once() -> tuple[str, int] | None:
        return queues.transitions.prune(
            interval_ms=60_000, keep_completed_s=9e6, keep_failed_s=9e6, keep_bytes=10**9, limit=500
        )

    while once() is not None:
        continue


def states(queues: Queues, *ids: str) -> list[str]:
    return [queues.job(job_id).state.value for job_id in ids]


@pytest.mark.parametrize("deed", ["cancel", "delete"])
@pytest.mark.parametrize("place", ["waiting", "delayed", "active"])
def test_what_rq_ended_holds_its_duplicates_key_no_more(
    queues: Queues, raw: redis.Redis, fetch: Fetch, deed: str, place: str
) -> None:
    queues.transitions.enqueue([replace(unique("a"), due="in:60000" if place == "delayed" else "")])
    held = claims(queues) if place == "active" else {}
    getattr(fetch("a"), deed)()
    if held:
        step(queues, completed(held["a"]), want=0)
    assert queues.transitions.enqueue([unique("b")]) == [1]
    assert queues.transitions.enqueue([unique("c")]) == ["b"]
    step(queues, completed(claims(queues)["b"]), want=0)
    prune(queues)
    assert raw.hlen(keys.UNIQUE()) == 0


def test_a_key_that_rq_left_behind_is_freed_without_anyone_asking(
    queues: Queues, raw: redis.Redis, fetch: Fetch
) -> None:
    queues.transitions.enqueue([unique("a")])
    fetch("a").delete()
    assert raw.hlen(keys.UNIQUE()) == 1
    prune(queues)
    assert raw.hlen(keys.UNIQUE()) == 0


def test_a_requeued_job_takes_its_duplicates_key_again(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([unique("a")])
    step(queues, ended(claims(queues)["a"], "failed"), want=0)
    fetch("a").requeue()
    held = claims(queues)
    assert held.keys() == {"a"}
    assert queues.transitions.enqueue([unique("b")]) == ["a"]


def test_a_requeued_job_whose_key_is_taken_runs_without_it(queues: Queues, raw: redis.Redis, fetch: Fetch) -> None:
    queues.transitions.enqueue([unique("a")])
    step(queues, ended(claims(queues)["a"], "failed"), want=0)
    queues.transitions.enqueue([unique("b")])
    fetch("a").requeue()
    held = claims(queues)
    assert held.keys() == {"a", "b"}
    step(queues, completed(held["a"]), want=0)
    assert queues.transitions.enqueue([unique("c")]) == ["b"]


@pytest.mark.parametrize("deed", ["cancel", "delete"])
@pytest.mark.parametrize("place", ["waiting", "active"])
def test_children_of_a_parent_that_rq_ended_are_told(queues: Queues, fetch: Fetch, deed: str, place: str) -> None:
    family = [child("fail", "a"), child("grand", "fail"), child("run", "a", policy="run")]
    queues.transitions.enqueue([new_job("a"), *family, child("wait", "a", policy="wait")])
    held = claims(queues) if place == "active" else {}
    getattr(fetch("a"), deed)()
    if held:
        step(queues, completed(held["a"]), want=0)
    sweep(queues)
    wait = "deferred" if deed == "cancel" else "canceled"
    assert states(queues, "fail", "grand", "run", "wait") == ["canceled", "canceled", "waiting", wait]


@pytest.mark.parametrize("deed", ["cancel", "delete"])
def test_a_chain_whose_middle_rq_ended_ends_behind_it_and_not_before(queues: Queues, fetch: Fetch, deed: str) -> None:
    queues.transitions.enqueue([new_job("a"), child("b", "a"), child("c", "b"), child("d", "c")])
    getattr(fetch("b"), deed)()
    sweep(queues)
    assert states(queues, "a", "c", "d") == ["waiting", "canceled", "canceled"]
    assert step(queues, completed(claims(queues)["a"])).claims == []
    assert queues.stats(["sync"])[0].deferred == 0


def test_a_requeued_parent_releases_the_child_that_waits_for_it(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a", attempts=1), child("b", "a", policy="wait")])
    step(queues, ended(claims(queues)["a"], "failed"), want=0)
    fetch("a").requeue()
    assert [claim.job_id for claim in step(queues, completed(claims(queues)["a"])).claims] == ["b"]


def test_a_child_that_rq_enqueued_with_its_parents_cancel_runs_once(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a"), child("b", "a", policy="run")])
    fetch("a").cancel(enqueue_dependents=True)
    sweep(queues)
    held = claims(queues)
    assert held.keys() == {"b"}
    step(queues, completed(held["b"]), want=0)
    sweep(queues)
    assert claims(queues) == {}


@pytest.mark.parametrize("deed", ["cancel", "delete"])
@pytest.mark.parametrize("place", ["waiting", "active"])
def test_a_batch_ends_without_the_member_that_rq_ended(app: Flowzz, fetch: Fetch, deed: str, place: str) -> None:
    queues = app.queues
    app.batch([WORK, WORK], callback=DONE, on_failure=BAD, batch_id="b")
    held = claims(queues, "probe") if place == "active" else {}
    getattr(fetch("b-1"), deed)()
    held = held or claims(queues, "probe")
    for claim in held.values():
        step(queues, completed(claim), want=0)
    sweep(queues)
    seen = queues.batch("b")
    assert (seen.pending, seen.completed, seen.canceled, seen.removed) == (
        (0, 1, 1, 0) if deed == "cancel" else (0, 1, 0, 1)
    )
    assert queues.job("b-done").payload["raises"] == "bad"


def test_a_member_that_rq_requeued_is_pending_again(app: Flowzz, fetch: Fetch) -> None:
    queues = app.queues
    again = ("probe.work", {}, EnqueueOptions(attempts=1))
    app.batch([again, WORK], callback=DONE, on_failure=BAD, batch_id="b")
    held = claims(queues, "probe")
    step(queues, ended(held["b-1"], "failed"), want=0)
    fetch("b-1").requeue()
    retried = claims(queues, "probe")["b-1"]
    step(queues, completed(held["b-2"]), want=0)
    assert queues.batch("b").pending == 1
    step(queues, completed(retried), want=0)
    assert queues.batch("b").completed == 2
    assert queues.job("b-done").payload["raises"] == "done"


@pytest.mark.parametrize("place", ["waiting", "delayed", "active", "completed", "failed", "parked"])
def test_what_rq_deleted_leaves_no_log_steps_or_attempts(
    queues: Queues, raw: redis.Redis, fetch: Fetch, place: str
) -> None:
    queues.transitions.enqueue([new_job("a", attempts=3), new_job("kept")])
    held = claims(queues)
    for claim in held.values():
        queues.transitions.report(claim, 1, log=["a line"])
        queues.transitions.remember(claim, "send", "1")
    kind = {"waiting": "released", "delayed": "retrying"}.get(place, place)
    mine = completed(held["a"]) if kind == "completed" else ended(held["a"], kind, delay_ms=60_000, note="probe.work")
    step(queues, ended(held["kept"], "released"), *(() if place == "active" else (mine,)), want=0)
    fetch("a").delete()
    if place == "active":
        assert step(queues, mine, want=0).verdicts == [2]
    prune(queues)
    assert list(raw.scan_iter("*:a")) == []
    assert raw.exists(keys.LOG("kept"), keys.STEPS("kept")) == 2


def test_a_worker_sweeps_what_rq_left(app: Flowzz, raw: redis.Redis, fetch: Fetch) -> None:
    app.enqueue("probe.work", {}, EnqueueOptions(job_id="a"))
    app.queues.transitions.report(claims(app.queues, "probe")["a"], 1, log=["a line"])
    fetch("a").delete()
    Sweeper(app).prune()
    assert not raw.exists(keys.LOG("a"))


def test_a_canceled_job_that_rq_enqueued_again_runs(queues: Queues, raw: redis.Redis, fetch: Fetch) -> None:
    queues.transitions.enqueue([unique("a")])
    fetch("a").cancel()
    Queue("sync", connection=raw, serializer=JSONSerializer).enqueue_job(fetch("a"))
    held = claims(queues)
    assert held.keys() == {"a"}
    assert queues.transitions.enqueue([unique("b")]) == ["a"]
    step(queues, completed(held["a"]), want=0)
    assert queues.job("a").state is JobState.COMPLETED

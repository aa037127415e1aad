"""Batches: the callback is enqueued once, when every member has ended, whoever ended it and however often."""

from __future__ import annotations

import pytest
import redis

from flowzz.app import Flowzz
from flowzz.errors import BatchNotFound, DuplicateJob, InvalidPayload, InvalidRequest, ParentNotFound
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.claims import Claim
from flowzz.queues.dead import DeadLetters
from support.engine import completed, ended, failure_text, step

WORK = ("probe.work", {})
DONE = ("probe.work", {"raises": "done"})
BAD = ("probe.work", {"raises": "bad"})


def claims(app: Flowzz) -> dict[str, Claim]:
    return {claim.job_id: claim for claim in step(app.queues, served=("probe",), want=100).claims}


def end(app: Flowzz, claim: Claim, kind: str = "completed") -> None:
    settlement = completed(claim) if kind == "completed" else ended(claim, kind, body=failure_text(), delay_ms=1)
    step(app.queues, settlement, want=0)


def sweep(app: Flowzz) -> None:
    app.queues.transitions.rescue(limit=100, keep_failed=9, failure_text=failure_text(), max_stalled=0)


def callback(app: Flowzz) -> str | None:
    """Which of the callbacks was enqueued."""
    return app.queues.job("b-done").payload["raises"] if app.queues.batch("b").callback_id else None


def test_the_callback_is_enqueued_by_the_script_that_ends_the_last_member(app: Flowzz) -> None:
    made = app.batch([WORK, WORK], callback=DONE, on_failure=BAD, batch_id="b")
    assert made.job_ids == ("b-1", "b-2")
    held = claims(app)
    end(app, held["b-1"])
    seen = app.queues.batch("b")
    assert (seen.total, seen.pending, seen.completed, seen.finished_at, callback(app)) == (2, 1, 1, None, None)
    end(app, held["b-2"])
    seen = app.queues.batch("b")
    assert (seen.pending, seen.completed, seen.callback_id) == (0, 2, "b-done")
    assert seen.finished_at is not None
    assert (callback(app), app.queues.job("b-done").state) == ("done", JobState.WAITING)


@pytest.mark.parametrize("fate", ["failed", "canceled", "canceled by a person", "removed", "stalled", "parent"])
def test_a_member_that_did_not_complete_means_the_other_callback(app: Flowzz, raw: redis.Redis, fate: str) -> None:
    app.enqueue("probe.work", {}, EnqueueOptions(job_id="parent"))
    last = ("probe.work", {}, EnqueueOptions(depends_on=["parent"]) if fate == "parent" else None)
    app.batch([WORK, last], callback=DONE, on_failure=BAD, batch_id="b")
    if fate in ("canceled by a person", "removed", "parent"):
        act = app.queues.remove if fate == "removed" else app.queues.cancel
        act("parent" if fate == "parent" else "b-2")
        end(app, claims(app)["b-1"])
    else:
        held = claims(app)
        end(app, held["b-1"])
        if fate == "stalled":
            raw.zadd(keys.WIP("probe"), {f"b-2:{held['b-2'].execution_id}": 1})
            raw.hset(keys.JOB("b-2"), "flowzz_stalled", "9")
            sweep(app)
        else:
            end(app, held["b-2"], fate)
    assert callback(app) == "bad"
    seen = app.queues.batch("b")
    assert (seen.pending, seen.completed, seen.failed + seen.canceled + seen.removed) == (0, 1, 1)


def test_without_another_the_callback_is_for_both_and_none_is_needed(app: Flowzz) -> None:
    app.batch([WORK], callback=DONE, batch_id="b")
    app.batch([WORK], batch_id="silent")
    held = claims(app)
    end(app, held["b-1"], "failed")
    end(app, held["silent-1"], "failed")
    assert callback(app) == "done"
    silent = app.queues.batch("silent")
    assert (silent.failed, silent.callback_id, silent.finished_at is None) == (1, None, False)


def test_a_retry_of_the_policy_is_no_end(app: Flowzz) -> None:
    app.batch([WORK], callback=DONE, batch_id="b")
    end(app, claims(app)["b-1"], "retrying")
    assert (app.queues.batch("b").pending, callback(app)) == (1, None)


def test_a_member_that_is_replayed_in_time_is_pending_again(app: Flowzz) -> None:
    app.batch([WORK, WORK], callback=DONE, on_failure=BAD, batch_id="b")
    held = claims(app)
    end(app, held["b-1"], "failed")
    DeadLetters(app.queues).replay()
    end(app, held["b-2"])
    seen = app.queues.batch("b")
    assert (seen.pending, seen.completed, seen.failed, callback(app)) == (1, 1, 0, None)
    end(app, claims(app)["b-1"])
    assert callback(app) == "done"


def test_one_that_is_replayed_after_the_end_repeats_no_callback(app: Flowzz) -> None:
    app.batch([WORK], callback=DONE, on_failure=BAD, batch_id="b")
    end(app, claims(app)["b-1"], "failed")
    app.queues.remove("b-done")
    app.queues.retry("b-1")
    end(app, claims(app)["b-1"])
    seen = app.queues.batch("b")
    assert (seen.completed, seen.failed, seen.callback_id) == (1, 0, "b-done")
    assert app.queues.jobs("probe", JobState.WAITING).total == 0


@pytest.mark.parametrize("fate", ["deleted", "finished"])
def test_members_that_others_ended_are_found_by_the_sweep(app: Flowzz, raw: redis.Redis, fate: str) -> None:
    app.batch([WORK, WORK], callback=DONE, on_failure=BAD, batch_id="b")
    end(app, claims(app)["b-1"])
    if fate == "deleted":
        raw.delete(keys.JOB("b-2"))
    else:
        raw.hset(keys.JOB("b-2"), "status", "finished")
    sweep(app)
    assert callback(app) == ("bad" if fate == "deleted" else "done")


def test_the_same_batch_again_changes_nothing_and_another_is_refused(app: Flowzz) -> None:
    first = app.batch([WORK], callback=DONE, batch_id="b", nonce="n")
    assert app.batch([WORK], callback=DONE, batch_id="b", nonce="n") == first
    with pytest.raises(DuplicateJob):
        app.batch([WORK], batch_id="b", nonce="other")
    assert (app.queues.batch("b").total, app.stats()[0].waiting) == (1, 1)


def test_a_batch_whose_callback_s_id_is_taken_is_refused(app: Flowzz) -> None:
    """Else the callback would be lost without a word when the batch has ended."""
    app.enqueue("probe.work", {}, EnqueueOptions(job_id="b-done"))
    with pytest.raises(DuplicateJob):
        app.batch([WORK], callback=DONE, batch_id="b")
    with pytest.raises(DuplicateJob):
        app.batch([("probe.work", {}, EnqueueOptions(job_id="c-done"))], on_failure=BAD, batch_id="c")
    assert app.batch([WORK], batch_id="b").id == "b"


def test_a_batch_is_stored_whole_or_not_at_all(app: Flowzz, raw: redis.Redis) -> None:
    app.enqueue("probe.work", {}, EnqueueOptions(job_id="taken"))
    before = set(raw.keys())
    wrong = [
        (DuplicateJob, [WORK, ("probe.work", {}, EnqueueOptions(job_id="taken"))]),
        (ParentNotFound, [WORK, ("probe.work", {}, EnqueueOptions(depends_on=["nowhere"]))]),
        (InvalidPayload, [WORK, ("probe.work", {"pages": "many"})]),
        (InvalidRequest, []),
        (InvalidRequest, [WORK] * 1001),
    ]
    for error, jobs in wrong:
        with pytest.raises(error):
            app.batch(jobs, batch_id="b")
    assert set(raw.keys()) == before
    with pytest.raises(BatchNotFound):
        app.queues.batch("b")


def test_a_member_that_another_job_stands_for_is_skipped(app: Flowzz) -> None:
    same = ("probe.work", {}, EnqueueOptions(unique_key="one"))
    app.batch([same, same], callback=DONE, on_failure=BAD, batch_id="b")
    end(app, claims(app)["b-1"])
    seen = app.queues.batch("b")
    assert (seen.completed, seen.skipped, callback(app)) == (1, 1, "done")


def test_a_large_batch_and_its_keys_end(app: Flowzz, raw: redis.Redis) -> None:
    app.batch([WORK] * 1000, callback=DONE, batch_id="b")
    while held := [claim for job, claim in claims(app).items() if job != "b-done"]:
        step(app.queues, *[completed(claim) for claim in held], served=("probe",), want=0)
    assert app.queues.batch("b").completed == 1000
    assert raw.exists(keys.BATCHES()) == 0
    assert 0 < raw.ttl(keys.BATCH("b")) <= 7 * 86400
    assert 0 < raw.ttl(keys.MEMBERS("b")) <= 7 * 86400

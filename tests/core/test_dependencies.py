"""Dependencies: a child runs once its parents completed, whoever ends them, and no parent's fate strands it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
import redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import DeferredJobRegistry
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.errors import DuplicateJob, InvalidRequest, ParentNotFound
from flowzz.jobs.options import EnqueueOptions, ParentPolicy
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.claims import Claim
from flowzz.queues.engine import Queues
from flowzz.queues.explain import Reason
from flowzz.queues.fields import ENTRY
from flowzz.queues.new_job import NewJob
from flowzz.settings import Settings
from flowzz.workers import Worker
from support.engine import completed, ended, failure_text, new_job, step
from support.probe import plugin


@pytest.fixture
def queues(redis_url: str) -> Iterator[Queues]:
    opened = Queues.open(redis_url, keep_failed=3)
    yield opened
    opened.close()


def child(job_id: str, *parents: str, policy: ParentPolicy = "fail", due: str = "") -> NewJob:
    new = new_job(job_id, due=due)
    return replace(new, admission=new.admission.after(parents, policy))


def states(queues: Queues, *ids: str) -> list[str]:
    return [queues.job(job_id).state.value for job_id in ids]


def claims(queues: Queues, want: int = 10) -> dict[str, Claim]:
    return {claim.job_id: claim for claim in step(queues, want=want).claims}


def sweep(queues: Queues) -> None:
    queues.transitions.rescue(limit=100, keep_failed=3, failure_text=failure_text(), max_stalled=0)


def test_a_child_waits_until_all_its_parents_completed(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b"), child("c", "a", "b")])
    assert states(queues, "a", "b", "c") == ["waiting", "waiting", "deferred"]
    assert queues.job("c").depends_on == ("a", "b")
    held = claims(queues)
    assert held.keys() == {"a", "b"}
    assert step(queues, completed(held["a"])).claims == []
    assert [claim.job_id for claim in step(queues, completed(held["b"])).claims] == ["c"], "by the same script call"


def test_parents_that_completed_before_count_as_done(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a")])
    step(queues, completed(claims(queues)["a"]), want=0)
    queues.transitions.enqueue([child("c", "a")])
    assert states(queues, "c") == ["waiting"]


@pytest.mark.parametrize("fate", ["failed", "canceled by its handler", "canceled", "removed", "stalled", "expired"])
@pytest.mark.parametrize(("policy", "state"), [("fail", "canceled"), ("run", "waiting"), ("wait", "deferred")])
def test_what_a_parent_that_ended_badly_means_is_the_childs_policy(
    queues: Queues, raw: redis.Redis, fate: str, policy: ParentPolicy, state: str
) -> None:
    queues.transitions.enqueue([new_job("a", max_stalled=0), child("c", "a", policy=policy)])
    match fate:
        case "failed":
            step(queues, ended(claims(queues)["a"], "failed", body=failure_text()), want=0)
        case "canceled by its handler":
            step(queues, ended(claims(queues)["a"], "canceled"), want=0)
        case "canceled":
            queues.cancel("a")
        case "removed":
            queues.remove("a")
            state = "canceled" if policy == "wait" else state
        case "stalled":
            raw.zadd(keys.WIP("sync"), {f"a:{claims(queues)['a'].execution_id}": 1})
            sweep(queues)
        case "expired":
            raw.hset(keys.JOB("a"), "flowzz_expires", "1")
            step(queues, want=1)
            state = "active" if policy == "run" else state
    assert states(queues, "c") == [state]
    if state == "canceled":
        assert str(queues.job("c").note).startswith("its parent a ")


@pytest.mark.parametrize(("policy", "state"), [("fail", "canceled"), ("run", "waiting"), ("wait", "deferred")])
def test_a_parent_that_failed_before_the_enqueue_means_the_same(
    queues: Queues, policy: ParentPolicy, state: str
) -> None:
    queues.transitions.enqueue([new_job("a")])
    step(queues, ended(claims(queues)["a"], "failed", body=failure_text()), want=0)
    queues.transitions.enqueue([child("c", "a", policy=policy)])
    assert states(queues, "c") == [state]


def test_a_failure_goes_down_the_whole_line(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), child("b", "a"), child("c", "b"), child("d", "c", policy="run")])
    queues.cancel("a")
    assert states(queues, "b", "c", "d") == ["canceled", "canceled", "waiting"]
    assert queues.job("c").note == "its parent b was canceled"


def test_a_child_that_waits_for_a_failed_parent_runs_once_that_was_retried(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), child("c", "a", policy="wait")])
    step(queues, ended(claims(queues)["a"], "failed", body=failure_text()), want=0)
    told = queues.explain("c")
    assert (told.reason, told.key, told.holders) == (Reason.PARENTS_PENDING, "a", ("a",))
    assert told.sentence == "it waits for its parents: a (failed); retry a, or this job to run it without"
    queues.retry("a")
    assert queues.explain("c").sentence == "it waits for its parents: a (waiting)"
    step(queues, completed(claims(queues)["a"]), want=0)
    assert states(queues, "c") == ["waiting"]


def test_a_failed_parent_that_is_trimmed_strands_nobody(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), child("c", "a", policy="wait")])
    step(queues, ended(claims(queues)["a"], "failed", body=failure_text()), want=0)
    for number in range(2):
        queues.transitions.enqueue([new_job(f"x{number}")])
        step(queues, *[ended(x, "failed", body=failure_text()) for x in claims(queues).values()], keep_failed=1)
    sweep(queues)
    assert queues.job("c").note == "its parent a was removed"


@pytest.mark.parametrize("policy", ["fail", "wait"])
def test_parents_that_others_ended_or_deleted_are_found_by_the_sweep(
    queues: Queues, raw: redis.Redis, policy: ParentPolicy
) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b"), child("c", "a", policy=policy), child("d", "b")])
    raw.hset(keys.JOB("b"), "status", "finished")
    raw.delete(keys.JOB("a"))
    sweep(queues)
    assert states(queues, "c", "d") == ["canceled", "waiting"]


def test_children_that_were_canceled_are_trimmed_like_others(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), *(child(f"c{n}", "a") for n in range(9))])
    queues.cancel("a")
    sweep(queues)
    assert queues.stats(["sync"])[0].canceled == 3


def test_a_delay_counts_beside_the_parents(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), child("late", "a", due="in:3600000"), child("soon", "a", due="in:1")])
    assert states(queues, "late", "soon") == ["deferred", "deferred"]
    held = claims(queues)
    step(queues, completed(held["a"]), want=0)
    assert queues.job("late").state is JobState.DELAYED
    assert queues.job("late").due_at is not None
    assert queues.job("soon").state in (JobState.WAITING, JobState.DELAYED)


def test_a_person_may_retry_cancel_or_remove_a_child(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a"), *(child(name, "a") for name in ("run", "cancel", "remove"))])
    queues.retry("run")
    queues.cancel("cancel")
    queues.remove("remove")
    assert states(queues, "run", "cancel") == ["waiting", "canceled"]
    assert raw.exists(keys.DEPENDENTS("a"), keys.DEPENDENCIES("run"), keys.DEFERRED("sync")) == 0
    queues.cancel("a")
    assert states(queues, "run", "cancel") == ["waiting", "canceled"]


def test_an_unknown_parent_stores_nothing_and_a_repeat_is_still_one(queues: Queues, raw: redis.Redis) -> None:
    assert queues.transitions.enqueue([new_job("a"), child("c", "nowhere")]) == [-2, -3]
    assert not list(raw.scan_iter("rq:job:*"))
    both = [new_job("a"), child("c", "a")]
    assert queues.transitions.enqueue(both) == [1, 1]
    step(queues, completed(claims(queues)["a"]), want=0)
    queues.remove("a")
    assert queues.transitions.enqueue(both[1:]) == [0], "its parent is gone, but this is the job that is stored"


def test_more_children_than_one_script_tells_are_found_by_the_sweep(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), *(child(f"c{n}", "a") for n in range(1100))])
    step(queues, completed(claims(queues, 1)["a"]), want=0)
    assert queues.stats(["sync"])[0].waiting == 1000
    for _ in range(12):
        sweep(queues)
    assert (queues.stats(["sync"])[0].waiting, queues.stats(["sync"])[0].deferred) == (1100, 0)


def test_rq_sees_the_dependencies(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a"), child("c", "a")])
    seen = Job.fetch("c", connection=raw, serializer=JSONSerializer)
    assert (seen.get_status(), seen.dependency_ids) == (JobStatus.DEFERRED, ["a"])
    assert Job.fetch("a", connection=raw, serializer=JSONSerializer).dependent_ids == ["c"]
    assert DeferredJobRegistry("sync", connection=raw).get_job_ids() == ["c"]


@pytest.mark.parametrize(("kind", "state"), [("completed", "waiting"), ("failed", "deferred")])
def test_a_child_that_plain_rq_put_behind_our_job_runs(queues: Queues, raw: redis.Redis, kind: str, state: str) -> None:
    queues.transitions.enqueue([new_job("a")])
    parent = Job.fetch("a", connection=raw, serializer=JSONSerializer)
    queue = Queue("sync", connection=raw, serializer=JSONSerializer)
    theirs = queue.enqueue(ENTRY, "probe.work", {}, depends_on=parent)
    assert states(queues, theirs.id) == ["deferred"]
    step(queues, ended(claims(queues)["a"], kind), want=0)
    sweep(queues)
    assert states(queues, theirs.id) == [state]


class TestThroughTheApp:
    def test_a_chain_runs_in_order(self, app: Flowzz) -> None:
        ids = app.chain([("probe.work", {}), ("probe.work", {"failUntil": 1}), ("probe.work", {})])
        assert [app.queues.job(i).state.value for i in ids] == ["waiting", "deferred", "deferred"]
        worker = Worker(app)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            last = app.queues.wait(ids[-1], timedelta(seconds=90))
        finally:
            worker.stop()
            thread.join(20)
        assert last.state is JobState.COMPLETED
        for before, after in pairwise(app.queues.job(i) for i in ids):
            assert before.ended_at is not None
            assert after.started_at is not None
            assert before.ended_at <= after.started_at

    def test_what_cannot_be_is_refused(self, app: Flowzz) -> None:
        with pytest.raises(ParentNotFound, match="nowhere"):
            app.enqueue("probe.work", {}, EnqueueOptions(depends_on=["nowhere"]))
        for wrong in ({"depends_on": "abc"}, {"depends_on": ["me"], "job_id": "me"}, {"depends_on": ["x"] * 101}):
            with pytest.raises(InvalidRequest, match="dependsOn"):
                EnqueueOptions(**wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match="onParentFailure"):
            EnqueueOptions(on_parent_failure="explode")  # type: ignore[arg-type]
        app.enqueue("probe.work", {}, EnqueueOptions(job_id="taken"))
        with pytest.raises(DuplicateJob):
            app.chain([("probe.work", {}), ("probe.work", {}, EnqueueOptions(job_id="taken"))])
        assert app.stats()[0].waiting == 1, "a chain is stored whole or not at all"


def test_who_follows_a_duplicate_waits_for_the_job_that_stands_for_it(settings: Settings) -> None:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as app:
        standing = app.enqueue("probe.work", {}, EnqueueOptions(unique_key="month end"))
        first, second = app.chain(
            [("probe.work", {}, EnqueueOptions(unique_key="month end")), ("probe.work", {"failUntil": 0})]
        )
        assert first == standing
        assert states(app.queues, standing, second) == ["waiting", "deferred"]
        (claim,) = step(app.queues, served=("probe",)).claims
        step(app.queues, completed(claim), want=0)
        assert states(app.queues, standing, second) == ["completed", "waiting"]

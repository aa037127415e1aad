"""``rq requeue``, ``FailedJobRegistry.requeue`` and ``Job.requeue`` of our failed jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import redis
from rq import Queue
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.lanes import Lane, LimitKey
from rq_contract.conftest import Fetch, Work
from support.engine import completed, ended, failure_text, new_job, step

SOON = timedelta(seconds=90)


def fail(queues: Queues, *ids: str, lane: Lane = Lane()) -> None:  # noqa: B008 - a frozen value
    queues.transitions.enqueue([new_job(job_id, lane=lane, attempts=1) for job_id in ids])
    for claim in step(queues).claims:
        step(queues, ended(claim, "failed"), want=0)


def test_the_command_line_requeues_one_and_all(
    app: Flowzz, working: Work, rq: Callable[..., str], raw: redis.Redis
) -> None:
    ids = [app.enqueue("probe.work", {"raises": "permanent"}) for _ in range(3)]
    with working():
        assert {app.queues.wait(job_id, SOON).state for job_id in ids} == {JobState.FAILED}
    rq("requeue", "--serializer", "json", "--queue", "probe", ids[0])
    assert app.queues.job(ids[0]).state is JobState.WAITING
    rq("requeue", "--serializer", "json", "--queue", "probe", "--all")
    assert raw.llen(keys.QUEUE("probe")) == 3
    with working():
        for job_id in ids:
            again = app.queues.wait(job_id, SOON)
            assert (again.state, again.attempts_made) == (JobState.FAILED, 1)
            assert [attempt.attempt for attempt in app.queues.attempts(job_id)] == [1, 1]
    assert app.queues.stats(["probe"])[0].failed == 3


def test_a_requeued_job_has_all_its_attempts_again_and_its_own_line(queues: Queues, fetch: Fetch) -> None:
    lane = Lane(priority=2, company="loja-1", limits=(LimitKey("account", 1),))
    fail(queues, "a", lane=lane)
    fetch("a").requeue()
    (claim,) = step(queues).claims
    assert (claim.attempts_made, claim.stalled) == (0, 0)
    assert (queues.job("a").attempts_made, queues.job("a").error) == (0, None)
    queues.transitions.enqueue([new_job("b", lane=lane)])
    assert step(queues).claims == []
    step(queues, completed(claim), want=0)
    assert [claim.job_id for claim in step(queues).claims] == ["b"]


def test_a_requeued_job_is_found_beside_others_that_wait(queues: Queues, raw: redis.Redis) -> None:
    fail(queues, "a")
    queues.transitions.pause("company:busy", "closed", None)
    queues.transitions.enqueue([new_job(f"w{n}", lane=Lane(company="busy")) for n in range(300)])
    FailedJobRegistry("sync", connection=raw, serializer=JSONSerializer).requeue("a", at_front=True)
    assert [claim.job_id for claim in step(queues).claims] == ["a"]
    assert step(queues).claims == []


def test_a_job_that_rq_took_from_a_lost_worker_waits_again_and_has_stalled(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    raw.zadd(keys.WIP("sync"), {f"a:{claim.execution_id}": 1})
    Queue("sync", connection=raw, serializer=JSONSerializer).started_job_registry.cleanup()
    assert raw.zcard(keys.WIP("sync")) == 0
    assert queues.job("a").state is JobState.WAITING
    (again,) = step(queues).claims
    assert (again.job_id, again.attempts_made, again.stalled) == ("a", 0, 1)
    assert step(queues, completed(claim), want=0).verdicts == [0]
    assert step(queues, completed(again), want=0).verdicts == [1]


def test_a_job_that_a_stock_worker_lost_is_rescued_though_we_ran_it_before(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "released"), want=0)
    raw.lpop(keys.QUEUE("sync"))
    raw.hset(keys.JOB("a"), mapping={"status": "started", "worker_name": "stock"})
    raw.zadd(keys.WIP("sync"), {"a:stocks-own": 1})
    queues.transitions.rescue(limit=10, keep_failed=3, failure_text=failure_text(), max_stalled=1)
    assert queues.job("a").state is JobState.WAITING
    assert [claim.job_id for claim in step(queues).claims] == ["a"]


def test_jobs_of_plain_rq_run_in_the_order_they_were_pushed(queues: Queues, raw: redis.Redis) -> None:
    theirs = Queue("sync", connection=raw, serializer=JSONSerializer)
    ids = [theirs.enqueue("any", job_id=f"t{n:03}").id for n in range(450)]
    front = theirs.enqueue("any", job_id="front", at_front=True).id
    claimed = [claim.job_id for _ in range(3) for claim in step(queues, want=500).claims]
    assert claimed == [front, *ids]

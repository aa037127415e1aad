"""``Job.cancel``, ``Job.delete``, ``Queue.empty`` and ``Queue.delete`` of plain RQ, of jobs of ours in every place."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.lanes import Lane
from rq_contract.conftest import Fetch, Work
from support.engine import completed, ended, failure_text, new_job, step
from support.waiting import eventually


def sweep(queues: Queues) -> None:
    queues.transitions.rescue(limit=100, keep_failed=200, failure_text=failure_text(), max_stalled=1)


def laned(raw: redis.Redis, queue: str = "sync") -> int:
    """Ids that stand in lanes; the count of them is kept right too."""
    found = sum(raw.llen(key) for key in raw.scan_iter(keys.LANE(queue + "|") + "*"))
    assert int(raw.hget(keys.LANED(), queue) or 0) == found
    return found


def claimed(queues: Queues) -> list[str]:
    return [claim.job_id for claim in step(queues).claims]


@pytest.mark.parametrize("deed", ["cancel", "delete"])
def test_a_waiting_job_never_runs_and_holds_nobody_up(
    queues: Queues, raw: redis.Redis, fetch: Fetch, deed: str
) -> None:
    queues.transitions.enqueue([new_job(job_id) for job_id in ("a", "b", "c")])
    getattr(fetch("a"), deed)()
    getattr(fetch("c"), deed)()
    assert queues.stats(["sync"])[0].waiting == 1
    assert claimed(queues) == ["b"]
    assert laned(raw) == 0
    assert queues.stats(["sync"])[0].canceled == (2 if deed == "cancel" else 0)
    if deed == "cancel":
        assert queues.job("a").state is JobState.CANCELED
    assert queues.quarantined() == {}


def test_a_sweep_forgets_canceled_jobs_of_a_paused_line_and_the_position_is_right(
    queues: Queues, raw: redis.Redis, fetch: Fetch
) -> None:
    lane = Lane(company="loja-1")
    queues.transitions.pause("company:loja-1", "closed", None)
    queues.transitions.enqueue([new_job(job_id, lane=lane) for job_id in ("a", "b", "c")])
    assert claimed(queues) == []
    fetch("a").cancel()
    fetch("b").delete()
    sweep(queues)
    assert laned(raw) == 1
    assert queues.explain("c").position == 1
    queues.transitions.resume("company:loja-1")
    assert claimed(queues) == ["c"]


def test_one_taken_and_one_pushed_at_once_are_both_noticed(queues: Queues, raw: redis.Redis, fetch: Fetch) -> None:
    queues.transitions.pause("company:loja-1", "closed", None)
    queues.transitions.enqueue([new_job("a", lane=Lane(company="loja-1"))])
    assert claimed(queues) == []
    fetch("a").cancel()
    Queue("sync", connection=raw, serializer=JSONSerializer).enqueue("any", job_id="theirs")
    sweep(queues)
    assert claimed(queues) == ["theirs"]


@pytest.mark.parametrize("deed", ["cancel", "delete"])
def test_a_delayed_and_a_parked_job_never_run(queues: Queues, raw: redis.Redis, fetch: Fetch, deed: str) -> None:
    queues.transitions.enqueue([new_job("parked")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "parked", note="probe.work"), want=0)
    queues.transitions.enqueue([new_job("delayed", due="in:1")])
    getattr(fetch("parked"), deed)()
    getattr(fetch("delayed"), deed)()
    sweep(queues)
    stats = queues.stats(["sync"])[0]
    assert (stats.parked, stats.delayed, stats.canceled) == (0, 0, 2 if deed == "cancel" else 0)
    assert queues.transitions.unpark(["probe.work"]) == 0
    assert claimed(queues) == []


def test_a_parked_job_that_rq_canceled_is_not_unparked_before_a_sweep_either(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "parked", note="probe.work"), want=0)
    fetch("a").cancel()
    assert queues.transitions.unpark(["probe.work"]) == 0
    assert queues.job("a").state is JobState.CANCELED


@pytest.mark.parametrize("kind", ["completed", "failed", "retrying", "released", "parked"])
def test_an_active_job_that_rq_canceled_ends_canceled_however_it_ends(
    queues: Queues, raw: redis.Redis, fetch: Fetch, kind: str
) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    fetch("a").cancel()
    assert step(queues, completed(claim) if kind == "completed" else ended(claim, kind)).verdicts == [1]
    assert queues.job("a").state is JobState.CANCELED
    stats = queues.stats(["sync"])[0]
    assert (stats.canceled, stats.active, stats.completed, stats.failed, stats.waiting, stats.delayed) == (
        1,
        0,
        0,
        0,
        0,
        0,
    )
    assert [attempt.outcome for attempt in queues.attempts("a")] == ["canceled"]
    assert StartedJobRegistry("sync", connection=raw).get_job_ids() == []


def test_an_active_job_that_rq_deleted_leaves_nothing_behind(queues: Queues, raw: redis.Redis, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    queues.transitions.report(claim, 1, progress=None, checkpoint=None, log=["a line"])
    fetch("a").delete()
    assert step(queues, completed(claim)).verdicts == [2]
    assert list(raw.scan_iter("*:a*")) == []
    assert queues.stats(["sync"])[0].active == 0


def test_an_active_job_that_rq_enqueued_anew_runs_once_more_and_its_old_run_counts_no_more(
    queues: Queues, raw: redis.Redis, fetch: Fetch
) -> None:
    queues.transitions.enqueue([new_job("a")])
    (old,) = step(queues).claims
    fetch("a").cancel()
    Queue("sync", connection=raw, serializer=JSONSerializer).enqueue_job(fetch("a"))
    raw.zrem(keys.CANCELED("sync"), "a")
    (new,) = step(queues).claims
    assert step(queues, completed(old, "old"), want=0).verdicts == [0]
    assert step(queues, completed(new, "new"), want=0).verdicts == [1]
    assert queues.job("a").result == "new"
    assert queues.stats(["sync"])[0].active == 0


@pytest.mark.parametrize("deed", ["cancel", "delete"])
def test_the_handler_of_an_active_job_is_told(
    app: Flowzz, working: Work, fetch: Fetch, tmp_path: Path, deed: str
) -> None:
    with working():
        job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
        eventually(lambda: (tmp_path / "log").exists(), saying="it runs")
        getattr(fetch(job_id), deed)()
        eventually(lambda: app.queues.stats(["probe"])[0].active == 0, saying="it stopped")
        assert "unblocked" not in (tmp_path / "log").read_text()
        if deed == "cancel":
            assert app.queues.job(job_id).state is JobState.CANCELED


@pytest.mark.parametrize("deed", ["empty", "delete"])
def test_an_emptied_queue_is_empty_and_works_on(queues: Queues, raw: redis.Redis, deed: str) -> None:
    lanes = [Lane(priority=1 + n % 3, company=f"c{n % 4}") for n in range(24)]
    queues.transitions.enqueue([new_job(f"j{n}", lane=lane) for n, lane in enumerate(lanes)])
    queues.transitions.pause("company:c1", "closed", None)
    step(queues, want=1)
    getattr(Queue("sync", connection=raw, serializer=JSONSerializer), deed)()
    queues.transitions.enqueue([new_job("after", lane=Lane(company="c9"))])
    assert laned(raw) == 1
    assert claimed(queues) == ["after"]
    assert not list(raw.scan_iter("flowzz:lane:*")) + list(raw.scan_iter("flowzz:group:*"))
    queues.transitions.enqueue([new_job("more")])
    getattr(Queue("sync", connection=raw, serializer=JSONSerializer), deed)()
    assert claimed(queues) == []
    assert laned(raw) == 0


def test_a_job_of_a_deleted_queue_is_rescued_when_its_worker_is_lost(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    Queue("sync", connection=raw, serializer=JSONSerializer).delete()
    queues.transitions.renew("w2", lease_ms=30_000, ttl_s=60, fields={}, queues=["sync"], executions=[])
    raw.zadd(keys.WIP("sync"), {f"a:{claim.execution_id}": 1})
    sweep(queues)
    assert claimed(queues) == ["a"]

"""Finished work goes by age and by bytes as well as by count, and what a job leaves behind has a size."""

from __future__ import annotations

import json
from datetime import timedelta

import redis

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.outcome import Completed, ErrorInfo, Failed
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.claims import Claim
from flowzz.queues.engine import Queues
from flowzz.settings import Settings
from flowzz.workers.settlement import MOST_MESSAGE, MOST_RESULT, settlement_of
from flowzz.workers.sweeper import Sweeper
from support.engine import completed, ended, new_job, step
from support.probe import plugin

DAY = 86400


def finish(queues: Queues, kind: str, *ids: str, queue: str = "sync", payload: object = None) -> None:
    queues.transitions.enqueue([new_job(job_id, queue=queue, payload=payload) for job_id in ids])
    claims = step(queues, want=len(ids), served=(queue,)).claims
    ends = [completed(claim) if kind == "completed" else ended(claim, kind) for claim in claims]
    step(queues, *ends, want=0, served=(queue,), keep_completed=10_000, keep_failed=10_000)


def age(raw: redis.Redis, family: keys.Key, days: float, *ids: str, queue: str = "sync") -> None:
    for job_id in ids:
        moment = now() - timedelta(days=days)
        raw.hset(keys.JOB(job_id), "ended_at", moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        raw.zadd(family(queue), {job_id: moment.timestamp() + 365 * DAY}, xx=True)


def prune(queues: Queues, *, interval_ms: int = 60_000, keep_bytes: int = 10**9, limit: int = 500) -> dict[str, int]:
    """What one round of a sweeper lets go, by queue."""
    gone: dict[str, int] = {}
    while pruned := queues.transitions.prune(
        interval_ms=interval_ms,
        keep_completed_s=30 * DAY,
        keep_failed_s=365 * DAY,
        keep_bytes=keep_bytes,
        limit=limit,
    ):
        gone[pruned[0]] = gone.get(pruned[0], 0) + pruned[1]
    return gone


def used(raw: redis.Redis) -> int:
    jobs = [*raw.keys("rq:job:*"), *raw.keys("rq:results:*"), *raw.keys("flowzz:log:*")]
    return sum(raw.memory_usage(key, samples=0) or 0 for key in jobs)


def left(queues: Queues, state: JobState) -> list[str]:
    return [record.id for record in queues.jobs("sync", state, limit=500).items]


def test_what_is_older_than_it_is_kept_goes_with_all_its_keys(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, "completed", "old", "new")
    finish(queues, "failed", "dead", "long-dead")
    raw.rpush(keys.LOG("old"), "1764000000000|1|page 1")
    raw.hset(keys.STEPS("old"), "send", "1")
    age(raw, keys.FINISHED, 31, "old")
    age(raw, keys.FINISHED, 29, "new")
    age(raw, keys.FAILED, 31, "dead")
    age(raw, keys.FAILED, 366, "long-dead")
    finish(queues, "canceled", "unwanted")
    age(raw, keys.CANCELED, 366, "unwanted")
    assert prune(queues)["sync"] == 3
    assert (left(queues, JobState.COMPLETED), left(queues, JobState.FAILED)) == (["new"], ["dead"])
    assert [key for key in raw.keys("*") if b"old" in key or b"long-dead" in key] == []


def test_a_queue_is_looked_at_once_in_the_interval_by_whoever_comes_first(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, "completed", "a")
    assert prune(queues) == {"sync": 0, "": 0}
    age(raw, keys.FINISHED, 31, "a")
    assert prune(queues) == {}
    raw.delete(keys.PRUNING())
    assert prune(queues)["sync"] == 1


def test_a_call_lets_go_of_a_bounded_number_and_the_next_goes_on(queues: Queues, raw: redis.Redis) -> None:
    ids = [f"j{n}" for n in range(25)]
    finish(queues, "completed", *ids)
    age(raw, keys.FINISHED, 31, *ids)
    more = {"interval_ms": 60_000, "keep_completed_s": DAY, "keep_failed_s": DAY, "keep_bytes": 10**9, "limit": 10}
    calls = [queues.transitions.prune(**more) for _ in range(3)]  # type: ignore[arg-type]
    assert calls == [("sync", 10), ("sync", 10), ("sync", 5)]


def test_what_a_stock_worker_finished_counts_by_when_it_ended(queues: Queues, raw: redis.Redis) -> None:
    """Its score says when RQ lets go, which is minutes after the end."""
    finish(queues, "completed", "stock")
    raw.zadd(keys.FINISHED("sync"), {"stock": now().timestamp() + 500})
    assert prune(queues)["sync"] == 0
    assert left(queues, JobState.COMPLETED) == ["stock"]


def test_the_oldest_go_until_the_rest_fits_dead_letters_last(queues: Queues, raw: redis.Redis) -> None:
    big = {"text": "x" * 10_000}
    finish(queues, "failed", "dead", payload=big)
    for number in range(20):
        finish(queues, "completed", f"j{number:02}", payload=big)
    assert prune(queues, keep_bytes=130_000)["sync"] > 5
    kept = left(queues, JobState.COMPLETED)
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == "j19"
    assert left(queues, JobState.FAILED) == ["dead"]
    assert 110_000 <= used(raw) <= 130_000


def test_many_are_measured_by_a_sample(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, "completed", *(f"j{n:03}" for n in range(400)), payload={"text": "x" * 1000})
    prune(queues, keep_bytes=used(raw) // 2)
    assert 195 <= len(left(queues, JobState.COMPLETED)) <= 205


def test_active_and_waiting_jobs_are_never_let_go(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    step(queues, want=1)
    assert prune(queues, keep_bytes=0)["sync"] == 0
    assert (left(queues, JobState.ACTIVE), left(queues, JobState.WAITING)) == (["a"], ["b"])


def test_keys_that_no_job_has_any_more_are_freed(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("lives"), new_job("lost"), new_job("gone"), new_job("late", due="in:60000")])
    for name in ("lives", "lost", "gone", "late"):
        raw.hset(keys.UNIQUE(), f"u:{name}", name)
        raw.hset(keys.JOB(name), "flowzz_unique", f"u:{name}")
    raw.lrem(keys.QUEUE("sync"), 1, "lost")
    raw.delete(keys.JOB("gone"))
    assert prune(queues)[""] == 2
    assert sorted(raw.hkeys(keys.UNIQUE())) == [b"u:late", b"u:lives"]


def test_the_sweeper_of_a_worker_prunes_by_the_settings(home: object, redis_url: str, raw: redis.Redis) -> None:
    settings = Settings.load(home=home, redis_url=redis_url, keep_completed_for=DAY)
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as app:
        finish(app.queues, "completed", "old", "new", queue="probe")
        age(raw, keys.FINISHED, 2, "old", queue="probe")
        assert Sweeper(app).prune() == 1
        assert app.queues.jobs("probe", JobState.COMPLETED).total == 1


def claim() -> Claim:
    return Claim("sync", "a", "e", b"", b"", 0, 0, b"", b"", 0.0)


def test_a_result_that_is_too_large_is_cut_with_a_mark(queues: Queues) -> None:
    finish(queues, "completed", "fits")
    queues.transitions.enqueue([new_job("large")])
    (claimed,) = step(queues).claims
    text = json.dumps("x" * MOST_RESULT)
    step(queues, settlement_of(claimed, Completed(text)))
    record = queues.job("large")
    assert record.result == {"truncated": True, "bytes": len(text), "beginning": text[:1000]}
    assert record.note == "the result of 262,146 bytes was cut: at most 262,144 are kept"


def test_a_result_that_fits_is_whole() -> None:
    settlement = settlement_of(claim(), Completed(json.dumps("x" * (MOST_RESULT - 2))))
    assert (len(settlement.body) > MOST_RESULT, settlement.note) == (True, "")


def test_a_long_traceback_keeps_both_ends_and_a_long_message_its_beginning(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claimed,) = step(queues).claims
    error = ErrorInfo("ValueError", "m" * 100_000, "first\n" + "x" * 200_000 + "\nlast")
    step(queues, settlement_of(claimed, Failed(error)))
    stored = queues.job("a").error
    assert stored is not None
    assert stored.traceback.startswith("first\n")
    assert stored.traceback.endswith("\nlast")
    assert "134,475 characters left out" in stored.traceback
    assert len(stored.traceback) < 66_000
    assert stored.message == "m" * MOST_MESSAGE + "… 91,808 characters left out"

"""Job types with a retention of their own: kept apart from the rest of their queue, in RQ's registries like all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from rq import Queue
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.errors import ConfigurationError, JobNotFound
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.payload import Payload
from flowzz.jobs.retention import Keep
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.admission import Admission
from flowzz.queues.engine import Queues
from flowzz.settings import Settings
from support.engine import completed, ended, failure_text, new_job, step
from support.working import working

DAY = 86400
TEN = Keep(completed=10)
MONTH = Keep(completed_for=timedelta(days=30), failed=1)


class Nothing(Payload):
    pass


@job("own.quiet", queue="own", keep=Keep(completed=0))
def quiet(ctx: JobContext, data: Nothing) -> None:
    """Gone as soon as it completed."""


@job("own.plain", queue="own")
def plain(ctx: JobContext, data: Nothing) -> None:
    """As the settings say."""


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [quiet, plain]


def put(queues: Queues, *ids: str, keep: Keep | None = None, name: str = "a.b") -> None:
    admission = Admission(keep=keep.dump(name) if keep else "")
    queues.transitions.enqueue([replace(new_job(job_id), admission=admission) for job_id in ids])


def finish(queues: Queues, *ids: str, keep: Keep | None = None, name: str = "a.b", kind: str = "completed") -> None:
    put(queues, *ids, keep=keep, name=name)
    for claim in step(queues, want=len(ids)).claims:
        step(queues, completed(claim) if kind == "completed" else ended(claim, kind), want=0, keep_completed=3)


def prune(queues: Queues, keep_bytes: int = 10**9) -> int:
    gone = 0
    while pruned := queues.transitions.prune(
        interval_ms=60_000, keep_completed_s=DAY, keep_failed_s=DAY, keep_bytes=keep_bytes, limit=100
    ):
        gone += pruned[1]
    return gone


def left(queues: Queues, state: JobState = JobState.COMPLETED) -> list[str]:
    return [record.id for record in queues.jobs("sync", state, limit=500).items]


def aged(raw: redis.Redis, days: float, *ids: str) -> None:
    """They ended so long ago."""
    moment = now() - timedelta(days=days)
    for job_id in ids:
        raw.hset(keys.JOB(job_id), "ended_at", moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        raw.zadd(keys.FINISHED("sync"), {job_id: moment.timestamp() + 365 * DAY + keys.OWN}, xx=True)
        raw.zadd(keys.KEPT("sync|a.b|finished"), {job_id: moment.timestamp()}, xx=True)


def test_a_type_keeps_its_own_number_and_counts_for_nobody_else(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, *[f"own{n:02}" for n in range(12)], keep=TEN)
    finish(queues, *[f"other{n}" for n in range(5)])
    assert left(queues) == ["other4", "other3", "other2", *[f"own{n:02}" for n in range(11, 1, -1)]]
    assert [key for key in raw.keys("*") if b"own00" in key or b"own01" in key] == []


def test_rqs_registry_holds_them_and_rq_does_not_clean_them_away(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, "a", keep=MONTH)
    finish(queues, "b")
    registry = FinishedJobRegistry("sync", connection=raw, serializer=JSONSerializer)
    registry.cleanup()
    assert sorted(registry.get_job_ids()) == ["a", "b"]


def test_pages_of_what_ended_last_first_hold_both(queues: Queues, raw: redis.Redis) -> None:
    for n in range(6):
        finish(queues, f"j{n}", keep=TEN if n % 2 else None)
        (score,) = raw.zmscore(keys.FINISHED("sync"), [f"j{n}"])
        raw.zadd(keys.FINISHED("sync"), {f"j{n}": float(score or 0) + n})
    pages = [queues.jobs("sync", JobState.COMPLETED, offset=offset, limit=2) for offset in (0, 2, 4)]
    assert [[record.id for record in page.items] for page in pages] == [["j5", "j4"], ["j3", "j2"], ["j1", "j0"]]
    assert {page.total for page in pages} == {6}


def test_a_type_that_keeps_none_goes_at_once_and_its_children_still_run(app: Flowzz, raw: redis.Redis) -> None:
    parent, child = app.chain([("own.quiet", {}), ("own.plain", {})])
    with working(app):
        assert app.queues.wait(child, timedelta(seconds=90)).state is JobState.COMPLETED
    with pytest.raises(JobNotFound):
        app.queues.job(parent)
    assert [key for key in raw.keys("*") if parent.encode() in key and not key.startswith(b"rq:worker")] == []


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    own = Plugin(name="own", title="Own", api=">=1", hooks=Hooks())
    with Flowzz.open(settings, plugins=PluginHost.of([own])) as one:
        one.store.migrate()
        yield one


def test_a_type_is_kept_for_its_own_time_longer_than_its_queue_keeps_others(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, "old", "newer", keep=MONTH)
    finish(queues, "other")
    aged(raw, 31, "old")
    aged(raw, 29, "newer")
    assert prune(queues) == 1
    assert left(queues) == ["other", "newer"]
    assert raw.zrange(keys.KEPT("sync|a.b|finished"), 0, -1) == [b"newer"]


def test_failed_and_completed_ones_are_bounded_apart(queues: Queues) -> None:
    finish(queues, "f1", "f2", keep=MONTH, kind="failed")
    finish(queues, "c1", "c2", keep=MONTH)
    assert (left(queues, JobState.FAILED), left(queues)) == (["f2"], ["c2", "c1"])
    finish(queues, "x1", "x2", "x3", "x4", keep=Keep(failed=9), kind="completed")
    assert left(queues)[:4] == ["x4", "x3", "x2", "c2"], (
        "completed ones of a type that bounds failed ones are as others"
    )


@pytest.mark.parametrize("how", ["canceled", "expired", "stalled", "parent", "parent before"])
def test_however_it_ends_its_own_retention_counts(queues: Queues, raw: redis.Redis, how: str) -> None:
    keep = Keep(failed=0)
    if how == "canceled":
        put(queues, "a", keep=keep)
        queues.cancel("a")
    elif how == "expired":
        queues.transitions.enqueue([replace(new_job("a"), admission=Admission(keep=keep.dump("a.b"), expires="1"))])
        step(queues)
    elif how == "stalled":
        put(queues, "a", keep=keep)
        raw.hset(keys.JOB("a"), "flowzz_stalled", "1")
        step(queues, lease_ms=1)
        raw.zadd(keys.WIP("sync"), dict.fromkeys(raw.zrange(keys.WIP("sync"), 0, -1), 1))
        queues.transitions.rescue(limit=9, keep_failed=9, failure_text=failure_text(), max_stalled=1)
    else:
        put(queues, "p")
        child = Admission(keep=keep.dump("a.b")).after(["p"], "fail")
        if how == "parent before":
            queues.cancel("p")
        queues.transitions.enqueue([replace(new_job("a"), admission=child)])
        if how == "parent":
            queues.cancel("p")
        else:
            prune(queues)
    with pytest.raises(JobNotFound):
        queues.job("a")


def test_what_a_person_or_rq_took_out_counts_no_more(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, "a", "b", "c", keep=Keep(failed=3), kind="failed")
    queues.remove("a")
    FailedJobRegistry("sync", connection=raw, serializer=JSONSerializer).requeue("b")
    prune(queues)
    assert raw.zrange(keys.KEPT("sync|a.b|failed"), 0, -1) == [b"c"]
    (claim,) = step(queues).claims
    step(queues, completed(claim), want=0)
    finish(queues, "d", "e", keep=Keep(failed=3), kind="failed")
    assert left(queues, JobState.FAILED) == ["e", "d", "c"]
    assert Queue("sync", connection=raw, serializer=JSONSerializer).count == 0


def test_bytes_bound_all_and_those_with_their_own_retention_go_last(queues: Queues, raw: redis.Redis) -> None:
    finish(queues, "own", keep=MONTH)
    finish(queues, "other")
    of_one = sum(raw.memory_usage(key("own"), samples=0) or 0 for key in (keys.JOB, keys.RESULTS))
    assert prune(queues, keep_bytes=of_one) == 1
    assert left(queues) == ["own"]


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        (Keep(completed=-1), r"keep\.completed to be 0"),
        (Keep(failed=2**31), r"keep\.failed to be 0"),
        (Keep(completed_for=timedelta(0)), r"keep\.completed_for to be more than 0"),
        (Keep(failed_for=timedelta(days=366)), "at most 365 days"),
    ],
)
def test_a_retention_that_makes_no_sense_is_refused(keep: Keep, says: str) -> None:
    def handler(ctx: JobContext, data: Nothing) -> None: ...

    with pytest.raises(ConfigurationError, match=f"job own.x: expected {says}" if "keep" in says else says):
        job("own.x", queue="own", keep=keep)(handler)

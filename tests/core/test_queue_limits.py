"""Limits of whole queues, and rules that a person puts over the definitions while everything runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.errors import InvalidRequest, UnknownLimit, UnknownQueue
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.limits import Concurrency, Rate, RateLimit, parse_rate
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload
from flowzz.jobs.state import JobState
from flowzz.limits import Limits, queue_rules
from flowzz.plugins.contributions import Plugin, QueueLimits
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.explain import Reason
from flowzz.queues.fields import ENTRY
from flowzz.queues.limiting import LimitStatus
from flowzz.settings import Settings
from support.engine import completed, ended, new_job, step
from support.waiting import eventually
from support.working import working

MINUTE = timedelta(minutes=1)
SOON = timedelta(seconds=90)

running, most = 0, 0
counting = threading.Lock()


class Data(Payload):
    phone: str = "1"


@job("lim.run", queue="sync", limits=[RateLimit("lim.phone", 2, per=MINUTE, by="phone"), Concurrency("lim.all", 3)])
def run(ctx: JobContext, data: Data) -> None:
    """Under a rate for each phone and one concurrency."""


@job("lim.count", queue="slow")
def count(ctx: JobContext, data: Data) -> None:
    """Counts how many run at a time."""
    global running, most
    with counting:
        running += 1
        most = max(most, running)
    threading.Event().wait(0.03)
    with counting:
        running -= 1


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [run, count]

    @hookimpl
    def flowzz_queue_limits(self) -> list[QueueLimits]:
        return [QueueLimits(queue="slow", rate=Rate(50, MINUTE), concurrency=2)]


PLUGIN = Plugin(name="lim", title="Limited", api=">=1.1,<2", hooks=Hooks())


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([PLUGIN])) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def limits(app: Flowzz) -> Limits:
    return Limits(app)


def put(app: Flowzz, *ids: str, queue: str = "sync") -> None:
    app.queues.transitions.enqueue([new_job(job_id, queue=queue) for job_id in ids])


def claimed(app: Flowzz, want: int = 50, *, worker: str = "w1") -> list[str]:
    return [claim.job_id for claim in step(app.queues, want=want, worker=worker, served=("sync", "other")).claims]


def leave_window(raw: redis.Redis, starts: int, key: str = "r:queue/sync") -> None:
    """The oldest ``starts`` were an hour ago."""
    for place in range(starts):
        raw.lset(keys.RATE(key), place, 1)


def status(app: Flowzz, name: str, kind: str) -> LimitStatus:
    return next(one for one in app.queues.limits().items if (one.name, one.kind) == (name, kind))


@pytest.mark.parametrize("want", [1, 3, 50])
def test_a_queue_starts_no_more_than_its_rate_in_order_and_nobody_else_waits(
    app: Flowzz, limits: Limits, raw: redis.Redis, want: int
) -> None:
    limits.set_queue("sync", "ana", rate=Rate(10, MINUTE))
    put(app, *[f"a{n:02}" for n in range(25)])
    put(app, *[f"b{n}" for n in range(15)], queue="other")
    taken: list[str] = []
    while got := claimed(app, want):
        taken += got
    assert [name for name in taken if name[0] == "a"] == [f"a{n:02}" for n in range(10)]
    assert len([name for name in taken if name[0] == "b"]) == 15
    reply = step(app.queues)
    assert 0 < reply.next_due_ms - reply.now_ms <= 60_000
    leave_window(raw, 3)
    assert [name for _ in range(5) for name in claimed(app, want)] == ["a10", "a11", "a12"]
    assert app.queues.job("a13").attempts_made == 0
    assert status(app, "sync", "rate").used == raw.llen(keys.RATE("r:queue/sync")) == 10


def test_the_worker_that_waits_is_told_when_the_oldest_start_leaves_the_window(app: Flowzz, limits: Limits) -> None:
    limits.set_queue("sync", "ana", rate=Rate(2, timedelta(milliseconds=300)))
    put(app, *[f"a{n}" for n in range(6)])
    starts: list[float] = []

    def three_windows() -> bool:
        reply = step(app.queues)
        starts.extend(reply.now_ms for _ in reply.claims)
        return len(starts) == 6

    eventually(three_windows)
    assert all(later - first > 299.8 for first, later in zip(starts, starts[2:], strict=False))


def test_a_queue_runs_no_more_at_a_time_across_workers_whoever_enqueued(
    app: Flowzz, limits: Limits, raw: redis.Redis
) -> None:
    plain = Queue("sync", connection=raw, serializer=JSONSerializer).enqueue(ENTRY, "lim.run", {}, job_id="plain")
    put(app, "a", "b", "c")
    limits.set_queue("sync", "ana", concurrency=2)
    first = step(app.queues, want=10, worker="w1").claims
    assert [claim.job_id for claim in first] == [plain.id, "a"]
    assert claimed(app, worker="w2") == []
    assert [claim.job_id for claim in step(app.queues, completed(first[0]), worker="w1").claims] == ["b"]
    step(app.queues, ended(first[1], "postponed", delay_ms=60_000), want=0, worker="w1")
    assert claimed(app, worker="w2") == ["c"]


def test_a_place_that_the_worker_leaves_free_wakes_another(app: Flowzz, limits: Limits, raw: redis.Redis) -> None:
    limits.set_queue("sync", "ana", concurrency=1)
    put(app, "a", "b")
    raw.delete(keys.WAKE("sync"))
    (first,) = step(app.queues).claims
    assert step(app.queues, worker="w2").claims == []
    assert not raw.exists(keys.WAKE("sync")), "nobody is woken for a queue that is used up"
    step(app.queues, completed(first), want=0)
    assert raw.exists(keys.WAKE("sync"))
    claimed(app)
    put(app, "c")
    raw.delete(keys.WAKE("sync"))
    limits.set_queue("sync", "ana", concurrency=2)
    assert raw.exists(keys.WAKE("sync")), "an edit wakes who may be idle"


def test_starts_are_remembered_for_a_window_that_became_longer(app: Flowzz, limits: Limits, raw: redis.Redis) -> None:
    put(app, "a", "b")
    limits.set_queue("sync", "ana", rate=Rate(1, timedelta(seconds=20)))
    assert claimed(app) == ["a"]
    limits.set_queue("sync", "ana", rate=Rate(1, MINUTE))
    assert raw.pttl(keys.RATE("r:queue/sync")) > 50_000


def test_the_definition_counts_when_a_worker_starts_and_holds_for_all_its_threads(app: Flowzz) -> None:
    global most
    most = 0
    ids = [app.enqueue("lim.count", {}) for _ in range(12)]
    with working(app, concurrency=8):
        assert {app.queues.wait(job_id, SOON).state for job_id in ids} == {JobState.COMPLETED}
    assert most == 2
    told = status(app, "slow", "rate")
    assert (told.queue, told.count, told.used, told.defined, told.edited) == ("slow", 50, 12, "50/60s", None)


def test_an_edit_wins_over_the_definition_until_it_is_reverted(app: Flowzz, limits: Limits) -> None:
    define = app.queues.transitions.define_limits
    rules = queue_rules(app.plugins.queue_limits, ["slow"])
    assert define(rules) == 2
    assert define(rules) == 0
    limits.set_queue("slow", "ana", concurrency=1)
    define([(key, "9" if key[0] == "c" else rule) for key, rule in rules])
    told = status(app, "slow", "concurrency")
    assert told.edited is not None
    assert (told.count, told.defined, told.edited.rule, told.edited.was, told.edited.by) == (1, "9", "1", "2", "ana")
    put(app, "a", "b", "c", queue="slow")
    assert len(step(app.queues, served=("slow",)).claims) == 1
    assert limits.revert_queue("slow", "ana")
    assert not limits.revert_queue("slow", "ana")
    assert status(app, "slow", "concurrency").count == 9
    assert len(step(app.queues, served=("slow",)).claims) == 2


def test_the_definitions_own_value_ends_the_edit_and_none_lifts_it(app: Flowzz, limits: Limits) -> None:
    app.queues.transitions.define_limits(queue_rules(app.plugins.queue_limits, ["slow"]))
    limits.set_queue("slow", "ana", rate="none", concurrency="none")
    put(app, *[f"j{n}" for n in range(5)], queue="slow")
    assert len(step(app.queues, served=("slow",)).claims) == 5
    assert status(app, "slow", "rate").count is None
    limits.set_queue("slow", "ana", concurrency=2, rate=Rate(50, MINUTE))
    assert status(app, "slow", "rate").edited is None
    assert status(app, "slow", "concurrency").is_used_up


def test_a_plugin_that_limits_a_queue_no_more_ends_its_limit(app: Flowzz, raw: redis.Redis) -> None:
    app.queues.transitions.define_limits(queue_rules(app.plugins.queue_limits, ["slow"]))
    assert raw.hgetall(keys.LIMITED()) == {b"slow": b"50/60000|2"}
    app.queues.transitions.define_limits(queue_rules({}, ["slow"]))
    assert (raw.exists(keys.LIMITED()), app.queues.limits().total) == (0, 0)


def test_explain_names_the_limit_of_the_queue(app: Flowzz, limits: Limits) -> None:
    put(app, "a", "b")
    app.queues.transitions.renew("w1", lease_ms=9, ttl_s=60, fields={"hostname": "h"}, queues=["sync"], executions=[])
    limits.set_queue("sync", "ana", concurrency=1)
    step(app.queues)
    told = app.queues.explain("b")
    assert (told.reason, told.key, told.holders) == (Reason.CONCURRENCY_LIMITED, "queue:sync", ("a",))
    assert told.sentence == "queue sync runs at most 1 at a time: a"
    limits.set_queue("sync", "ana", rate=Rate(1, MINUTE), concurrency="none")
    claimed(app)
    put(app, "c")
    told = app.queues.explain("c")
    assert (told.reason, told.key) == (Reason.RATE_LIMITED, "queue:sync")
    assert told.until is not None
    assert "queue sync starts at most 1 in 60 s, the next at" in told.sentence


def test_a_limit_of_jobs_can_be_edited_for_all_values_and_for_one(app: Flowzz, limits: Limits) -> None:
    for phone in ("1", "2"):
        for n in range(4):
            app.enqueue("lim.run", {"phone": phone}, EnqueueOptions(job_id=f"{phone}-{n}"))
    limits.set("lim.all", "ana", concurrency="none")
    assert sorted(claimed(app)) == ["1-0", "1-1", "2-0", "2-1"]
    limits.set("lim.phone", "ana", rate=Rate(3, MINUTE))
    assert sorted(claimed(app)) == ["1-2", "2-2"]
    limits.set("lim.phone:2", "ana", rate="none")
    assert sorted(claimed(app)) == ["2-3"]
    app.enqueue("lim.run", {"phone": "1"})
    assert claimed(app) == [], "an enqueue brings the definition's rule, the edit stays"
    one, every = status(app, "lim.phone:1", "rate"), status(app, "lim.phone:2", "rate")
    assert one.edited is not None
    assert (one.count, one.defined, one.edited.name, one.edited.was) == (3, "2/60s", "lim.phone", "2/60s")
    assert (every.count, every.edited and every.edited.name) == (None, "lim.phone:2")
    limits.set("lim.phone:2", "ana", rate=Rate(2, MINUTE))
    assert status(app, "lim.phone:2", "rate").count == 2, (
        "beside an edit of all values the definition's rule is an edit"
    )
    assert limits.revert("lim.phone", "ana")
    assert status(app, "lim.phone:1", "rate").count == 2


def test_slots_that_were_taken_while_nothing_limited_count_when_it_does_again(
    app: Flowzz, limits: Limits, raw: redis.Redis
) -> None:
    limits.clear("lim.all", "ana")
    for n in range(6):
        app.enqueue("lim.run", {"phone": str(n)})
    assert len(claimed(app, 4)) == 4
    limits.revert("lim.all", "ana")
    assert claimed(app) == []
    assert raw.exists(keys.AWAITED(), keys.AWAITING("c:lim.all")) == 2
    limits.set("lim.all", "ana", concurrency=5)
    assert raw.exists(keys.AWAITED(), keys.AWAITING("c:lim.all")) == 0
    assert len(claimed(app)) == 1


def test_what_makes_no_sense_is_refused_by_name(limits: Limits) -> None:
    with pytest.raises(UnknownQueue, match="did you mean 'slow'"):
        limits.set_queue("slwo", "ana", concurrency=1)
    with pytest.raises(UnknownLimit, match=r"did you mean 'lim\.phone'"):
        limits.set("lim.phne", "ana", rate=Rate(1, MINUTE))
    with pytest.raises(InvalidRequest, match="no concurrency that could be changed"):
        limits.set("lim.phone", "ana", concurrency=1)
    with pytest.raises(InvalidRequest, match="has no values"):
        limits.set("lim.all:7", "ana", concurrency=1)
    with pytest.raises(InvalidRequest, match="got neither"):
        limits.set_queue("slow", "ana")
    with pytest.raises(InvalidRequest, match="1 or more, got 0"):
        limits.set_queue("slow", "ana", concurrency=0)


@pytest.mark.parametrize("text", ["", "10", "10/", "/60s", "x/60s", "0/60s", "10/0s", "-1/1s", "10/soon"])
def test_a_rate_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_rate(text)
    assert parse_rate("10/1m") == Rate(10, MINUTE)


def test_every_edit_is_told_as_an_event(app: Flowzz, limits: Limits) -> None:
    limits.set_queue("slow", "ana", concurrency=1)
    limits.revert_queue("slow", "rui")
    limits.revert_queue("slow", "rui")
    told = [(event.name, event.subject, event.detail) for event in app.queues.events()]
    assert told == [("limit_edited", "queue:slow", "set by ana"), ("limit_edited", "queue:slow", "revert by rui")]


def test_a_value_that_nothing_counts_under_is_forgotten_and_still_limited(
    app: Flowzz, limits: Limits, raw: redis.Redis
) -> None:
    """A limit by phone number would otherwise leave a rule of each number for ever."""
    for place in range(300):
        app.enqueue("lim.run", {"phone": f"quiet-{place}"})
    limits.set("lim.phone:vip", "ana", rate=Rate(5, MINUTE))
    for _ in range(6):
        app.enqueue("lim.run", {"phone": "busy"})
    assert raw.hlen(keys.LIMITS()) > 300

    gone = prune_limits(app, raw)

    fields = {field.decode() for field in raw.hkeys(keys.LIMITS())}
    assert gone >= 300
    assert {field for field in fields if field.startswith("r:lim.phone")} == set()
    assert "all r:lim.phone" in fields
    assert "edit r:lim.phone:vip" in fields
    limits.set("lim.all", "ana", concurrency="none")
    started = claimed(app, 500)
    assert len(started) == 302, "two of the busy phone, one of each other"
    assert status(app, "lim.all", "concurrency").defined == "3"


def prune_limits(app: Flowzz, raw: redis.Redis) -> int:
    """Let a sweeper go round until it has looked at every limit; how many fields that took away."""
    before = raw.hlen(keys.LIMITS())
    for _ in range(3):
        raw.delete(keys.PRUNING())
        while app.queues.transitions.prune(
            interval_ms=60_000, keep_completed_s=60, keep_failed_s=60, keep_bytes=10**9, limit=500
        ):
            pass
    return before - raw.hlen(keys.LIMITS())

"""Which job is next: priorities, turns between companies, limits, pauses. Times are Redis's; tests move the marks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.explain import Reason
from flowzz.queues.fields import ENTRY
from flowzz.queues.lanes import Lane, LimitKey
from flowzz.queues.pauses import Pause, PauseKind
from support.engine import completed, ended, failure_text, new_job, step
from support.waiting import eventually

TENTH = 0.2
"""Milliseconds: a step tells its time rounded to a tenth."""


def put(queues: Queues, *ids: str, lane: Lane) -> None:
    queues.transitions.enqueue([new_job(job_id, lane=lane) for job_id in ids])


def drain(queues: Queues, want: int = 1) -> list[str]:
    order = []
    while claims := step(queues, want=want).claims:
        order += [claim.job_id for claim in claims]
        step(queues, *[completed(claim) for claim in claims], want=0)
    return order


@pytest.mark.parametrize("want", [1, 3, 50])
def test_a_lower_number_goes_first_and_equals_go_as_they_came(queues: Queues, want: int) -> None:
    for number, priority in enumerate([5, 10, 1, 5, 1]):
        put(queues, f"p{priority}-{number}", lane=Lane(priority=priority))
    assert drain(queues, want) == ["p1-2", "p1-4", "p5-0", "p5-3", "p10-1"]


def test_companies_take_turns_inside_a_priority(queues: Queues) -> None:
    put(queues, *[f"a{n}" for n in range(4)], lane=Lane(company="a"))
    put(queues, "b0", "b1", lane=Lane(company="b"))
    put(queues, "c0", lane=Lane(company="c", priority=1))
    assert drain(queues) == ["c0", "a0", "b0", "a1", "b1", "a2", "a3"]


@pytest.mark.parametrize("want", [1, 2, 50])
def test_types_of_job_take_turns_inside_a_company(queues: Queues, want: int) -> None:
    put(queues, *[f"sync-{n}" for n in range(4)], lane=Lane(company="a", job="probe.sync"))
    put(queues, "send-0", "send-1", lane=Lane(company="a", job="probe.send"))
    assert drain(queues, want) == ["sync-0", "send-0", "sync-1", "send-1", "sync-2", "sync-3"]


@pytest.mark.parametrize("want", [1, 10, 50])
def test_ninety_nine_small_companies_are_done_before_the_200th_of_a_big_one(queues: Queues, want: int) -> None:
    big = [new_job(f"big-{n}", lane=Lane(company="big")) for n in range(10_000)]
    for start in range(0, len(big), 1000):
        queues.transitions.enqueue(big[start : start + 1000])
    for n in range(99):
        put(queues, f"small-{n}", lane=Lane(company=f"company {n}|,="))
    order: list[str] = []
    while len(order) < 400:
        claims = step(queues, want=want).claims
        order += [claim.job_id for claim in claims]
        step(queues, *[completed(claim) for claim in claims], want=0)
    last_small = max(place for place, job_id in enumerate(order) if job_id.startswith("small"))
    assert Counter(job_id.partition("-")[0] for job_id in order)["small"] == 99
    assert sum(job_id.startswith("big") for job_id in order[:last_small]) < 200


def test_rq_sees_every_waiting_job_whatever_its_turn(queues: Queues, raw: redis.Redis) -> None:
    put(queues, "a0", "a1", "a2", lane=Lane(company="a"))
    put(queues, "b0", lane=Lane(company="b", priority=1))
    plain = Queue("sync", connection=raw, serializer=JSONSerializer)
    assert plain.job_ids == ["a0", "a1", "a2", "b0"]
    assert [claim.job_id for claim in step(queues, want=1).claims] == ["b0"]
    assert plain.job_ids == ["a0", "a1", "a2"]
    assert plain.count == queues.stats(["sync"])[0].waiting == 3


def test_what_plain_rq_pushes_takes_its_turn_among_ours(queues: Queues, raw: redis.Redis) -> None:
    put(queues, *[f"a{n}" for n in range(3)], lane=Lane(company="a"))
    theirs = Queue("sync", connection=raw, serializer=JSONSerializer).enqueue(ENTRY, "probe.work", {}).id
    put(queues, *[f"b{n}" for n in range(3)], lane=Lane(company="b"))
    order = drain(queues)
    assert sorted(order) == sorted(["a0", "a1", "a2", theirs, "b0", "b1", "b2"])
    assert order.index(theirs) <= 3


def test_what_a_stock_worker_took_is_not_run_again(queues: Queues, raw: redis.Redis) -> None:
    put(queues, "a0", "a1", "a2", lane=Lane(company="a"))
    put(queues, "b0", lane=Lane(company="b"))
    assert raw.lpop(keys.QUEUE("sync")) == b"a0"
    assert drain(queues) == ["b0", "a1", "a2"]


def test_a_rate_admits_exactly_its_number_in_any_window_and_others_flow(queues: Queues, raw: redis.Redis) -> None:
    limited = Lane(company="a", limits=(LimitKey("phone:1", 10, 60_000),))
    put(queues, *[f"slow-{n}" for n in range(25)], lane=limited)
    put(queues, *[f"free-{n}" for n in range(25)], lane=Lane(company="a", limits=(LimitKey("phone:2", 100, 60_000),)))
    admitted = drain(queues, 50)
    assert Counter(job_id.partition("-")[0] for job_id in admitted) == {"slow": 10, "free": 25}
    assert [job_id for job_id in admitted if job_id.startswith("slow")] == [f"slow-{n}" for n in range(10)]
    reply = step(queues)
    assert 0 < reply.next_due_ms - reply.now_ms <= 60_000
    let_time_pass(raw, "r:phone:1", 3)
    assert drain(queues, 50) == ["slow-10", "slow-11", "slow-12"]
    assert drain(queues, 50) == []
    assert queues.job("slow-13").attempts_made == 0


def test_no_window_of_real_time_has_more_starts_than_the_rate_and_none_is_wasted(queues: Queues) -> None:
    """The clock is Redis's own: every step says when it was, and each window that begins with a start is looked at."""
    period, rate = 1000, 10
    limited = Lane(limits=(LimitKey("phone:1", rate, period),))
    put(queues, *[f"slow-{n:02}" for n in range(21)], lane=limited)
    put(queues, *[f"free-{n}" for n in range(40)], lane=Lane(limits=(LimitKey("phone:2", 100, period),)))
    starts: list[tuple[float, str]] = []

    def all_started() -> bool:
        reply = step(queues, want=3)
        starts.extend((reply.now_ms, claim.job_id) for claim in reply.claims)
        if not reply.claims:
            oldest = [moment for moment, job_id in starts if job_id.startswith("slow")][-rate]
            assert abs(reply.next_due_ms - oldest - period) < TENTH, "the next starts when the oldest leaves, no later"
        return len(starts) == 61

    eventually(all_started, timeout=60)
    slow = [moment for moment, job_id in starts if job_id.startswith("slow")]
    assert [job_id for _, job_id in starts if job_id.startswith("slow")] == [f"slow-{n:02}" for n in range(21)]
    assert all(later - first > period - TENTH for first, later in zip(slow, slow[rate:], strict=False))
    free = [moment for moment, job_id in starts if job_id.startswith("free")]
    assert any(slow[rate - 1] < moment < slow[rate] for moment in free), "other keys flow while this one waits"


def let_time_pass(raw: redis.Redis, key: str, admissions: int) -> None:
    """The oldest ``admissions`` leave the window: their marks are set an hour back, and the lane may look again."""
    for place in range(admissions):
        raw.lset(keys.RATE(key), place, 1)
    for lane in raw.zrange(keys.BLOCKED("sync"), 0, -1):
        raw.zadd(keys.BLOCKED("sync"), {lane: 1})


def test_no_more_run_at_a_time_than_the_concurrency_of_their_key(queues: Queues, raw: redis.Redis) -> None:
    lane = Lane(company="a", limits=(LimitKey("account:7", 2),))
    put(queues, *[f"a{n}" for n in range(5)], lane=lane)
    put(queues, "other", lane=Lane(company="b"))
    claims = {claim.job_id: claim for claim in step(queues).claims}
    assert sorted(claims) == ["a0", "a1", "other"]
    assert step(queues).claims == []
    (third,) = step(queues, completed(claims["a0"])).claims
    assert third.job_id == "a2"
    expire = dict.fromkeys(raw.zrange(keys.WIP("sync"), 0, -1), 1)
    raw.zadd(keys.WIP("sync"), expire)
    queues.transitions.rescue(limit=100, keep_failed=9, failure_text=failure_text(), max_stalled=1)
    assert sorted(claim.job_id for claim in step(queues).claims) == ["a1", "a2", "other"]


def test_slots_of_jobs_that_rq_ended_behind_our_back_come_back(queues: Queues, raw: redis.Redis) -> None:
    lane = Lane(company="a", limits=(LimitKey("account:7", 1),))
    put(queues, "a0", "a1", lane=lane)
    assert [claim.job_id for claim in step(queues).claims] == ["a0"]
    assert step(queues).claims == []
    raw.delete(keys.WIP("sync"))
    queues.transitions.rescue(limit=100, keep_failed=9, failure_text=failure_text(), max_stalled=1)
    assert [claim.job_id for claim in step(queues).claims] == ["a1"]


def test_what_the_upstream_throttled_holds_its_key_and_nobody_else(queues: Queues, raw: redis.Redis) -> None:
    account = LimitKey("account:7", 1000, 60_000)
    put(queues, "a0", "a1", lane=Lane(company="a", limits=(account,)))
    put(queues, "b0", lane=Lane(company="b", limits=(LimitKey("account:8", 1000, 60_000),)))
    (first,) = step(queues, want=1).claims
    hold = ended(first, "postponed", delay_ms=30_000, note="429", hold=account.key)
    assert [claim.job_id for claim in step(queues, hold).claims] == ["b0"]
    assert queues.job("a1").state is JobState.WAITING
    raw.delete(keys.HOLDS())
    for lane in raw.zrange(keys.BLOCKED("sync"), 0, -1):
        raw.zadd(keys.BLOCKED("sync"), {lane: 1})
    assert [claim.job_id for claim in step(queues).claims] == ["a1"]


def test_explain_says_until_when_an_upstream_holds_a_key(queues: Queues) -> None:
    account = LimitKey("account:7", 1000, 60_000)
    put(queues, "a0", "a1", lane=Lane(company="a", limits=(account,)))
    queues.transitions.renew("w1", lease_ms=9, ttl_s=60, fields={"hostname": "h"}, queues=["sync"], executions=[])
    (first,) = step(queues, want=1).claims
    reply = step(queues, ended(first, "postponed", delay_ms=30_000, note="429", hold=account.key))
    told = queues.explain("a1")
    assert (told.reason, told.key, told.position) == (Reason.HELD, "account:7", 1)
    assert told.until is not None
    assert told.until.timestamp() * 1000 == pytest.approx(reply.now_ms + 30_000, abs=2)


def test_a_pause_of_a_queue_ends_by_itself(queues: Queues) -> None:
    put(queues, "a", lane=Lane())
    queues.pause("sync", "month end", until=datetime(2099, 1, 1, tzinfo=UTC))
    assert step(queues).claims == []
    queues.pause("sync", "for a moment", until=datetime.now(UTC) + timedelta(milliseconds=50))
    assert [claim.job_id for claim in eventually(lambda: step(queues).claims)] == ["a"]


@pytest.mark.parametrize("what", ["company", "job"])
def test_a_paused_company_or_job_type_waits_and_blocks_nobody(queues: Queues, what: str) -> None:
    put(queues, "a0", "a1", lane=Lane(company="loja 1|x", job="probe.work"))
    put(queues, "b0", lane=Lane(company="b", job="probe.other"))
    kind, target = PauseKind(what), "loja 1|x" if what == "company" else "probe.work"
    queues.pause_any(kind, target, "disputed invoice")
    assert queues.pauses() == [Pause(kind=kind, name=target, reason="disputed invoice")]
    assert [claim.job_id for claim in step(queues).claims] == ["b0"]
    assert queues.resume_any(kind, target)
    assert not queues.resume_any(kind, target)
    assert queues.pauses() == []
    assert [claim.job_id for claim in step(queues).claims] == ["a0", "a1"]


def test_removing_and_cancelling_waiting_jobs_leaves_the_order_of_the_rest(queues: Queues) -> None:
    put(queues, "a0", "a1", "a2", lane=Lane(company="a"))
    put(queues, "b0", lane=Lane(company="b"))
    queues.remove("a0")
    queues.cancel("b0")
    assert drain(queues) == ["a1", "a2"]

"""A request that never arrived, an answer that got lost: the caller hears, and Redis holds, what it would have anyway.

Each call is made on an undisturbed Redis and, struck once, on another; the answers and what is left in Redis (events,
places, histories, logs) must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from flowzz.errors import QueueUnavailable
from flowzz.queues import keys
from flowzz.queues.claims import Claim
from flowzz.queues.dead import DeadLetters
from flowzz.queues.engine import Queues
from flowzz.queues.pauses import PauseKind
from support.engine import completed, ended, failure_text, new_job, step
from support.faults.census import lanes_of, take_census
from support.proxy import Proxy, proxy, script

QUICK = ("renew", "deregister")
"""What is not repeated by itself: the next heartbeat says the same."""


def waiting(queues: Queues, *ids: str, due: str = "") -> None:
    queues.transitions.enqueue([new_job(job_id, due=due) for job_id in ids])


def active(queues: Queues, *ids: str, lease_ms: int = 30_000) -> list[Claim]:
    waiting(queues, *ids)
    return step(queues, token="before", lease_ms=lease_ms).claims


def dead(queues: Queues, *ids: str) -> None:
    step(
        queues, *[ended(claim, "failed", body=failure_text()) for claim in active(queues, *ids)], token="dying", want=0
    )


@dataclass(frozen=True)
class Call:
    """``arrange`` sets the scene, undisturbed; ``act`` gets what it gave, and makes the call of ``script``.

    ``repeat``: the answer when the first one was lost, of a call that by its own id says that it was done before.
    """

    script: str
    arrange: Callable[[Queues], Any]
    act: Callable[[Queues, Any], Any]
    repeat: Any = None


def nothing(queues: Queues) -> None:
    """A scene that is set already."""


def claimed(queues: Queues, _: Any) -> list[tuple[str, str]]:
    return [(claim.job_id, claim.execution_id) for claim in step(queues, token="claiming").claims]


def rescue(queues: Queues, _: Any) -> int:
    moved = queues.transitions.rescue(limit=10, keep_failed=9, failure_text=failure_text(), max_stalled=1)
    return len(moved)


def abandoned(queues: Queues) -> None:
    (claim,) = active(queues, "a")
    queues._clients.commands.zadd(keys.WIP("sync"), {f"a:{claim.execution_id}": 1})


CALLS = {
    "enqueue": Call(
        "enqueue", nothing, lambda q, _: q.transitions.enqueue([new_job("a"), new_job("b", due="in:99")]), repeat=[0, 0]
    ),
    "batch": Call(
        "batch",
        nothing,
        lambda q, _: q.transitions.batch("b", "n", [new_job("a")], new_job("b.done"), None),
        repeat=(0, 0),
    ),
    "fire": Call(
        "fire", nothing, lambda q, _: q.transitions.fire("s", 1_000, [new_job("s.1.0"), new_job("s.1.1")], revision=0)
    ),
    "run a schedule": Call(
        "fire",
        nothing,
        lambda q, _: q.transitions.fire("s", 1_000, [new_job("s.run")], how="run", by="ana", run_id="1"),
    ),
    "edit a schedule": Call(
        "schedule",
        nothing,
        lambda q, _: q.transitions.edit_schedule(
            "s", "pause", by="ana", now_ms=1_000, own=("0 * * * *", "UTC"), reason="late"
        ),
    ),
    "claim": Call("step", lambda q: waiting(q, "a", "b"), claimed),
    "promote": Call("step", lambda q: waiting(q, "a", due="1"), claimed),
    "settle": Call(
        "step",
        lambda q: active(q, "a", "b"),
        lambda q, claims: step(q, *[completed(claim) for claim in claims], token="settling").verdicts,
    ),
    "retry later": Call(
        "step",
        lambda q: active(q, "a"),
        lambda q, claims: step(q, ended(claims[0], "retrying", delay_ms=9_000), token="settling").verdicts,
    ),
    "report": Call(
        "report",
        lambda q: active(q, "a"),
        lambda q, claims: q.transitions.report(claims[0], 1, progress=(40, "4/10"), checkpoint={"page": 4}, log=["x"]),
    ),
    "remember": Call(
        "remember", lambda q: active(q, "a"), lambda q, claims: q.transitions.remember(claims[0], "send", "1")
    ),
    "retry": Call("manage", lambda q: dead(q, "a"), lambda q, _: q.retry("a", "again")),
    "cancel": Call("manage", lambda q: waiting(q, "a"), lambda q, _: q.cancel("a", "wrong one")),
    "remove": Call("manage", lambda q: waiting(q, "a"), lambda q, _: q.remove("a")),
    "replay": Call("dead", lambda q: dead(q, "a", "b"), lambda q, _: DeadLetters(q).replay().moved),
    "pause": Call("pause", nothing, lambda q, _: q.pause_any(PauseKind.QUEUE, "sync", "look at it")),
    "resume": Call("pause", lambda q: q.pause("sync", "look at it"), lambda q, _: q.resume("sync")),
    "limit": Call("limit", nothing, lambda q, _: q.transitions.edit_limits("x", "ana", [("r:x", "5/1000", "none")])),
    "revert a limit": Call(
        "limit",
        lambda q: q.transitions.edit_limits("x", "ana", [("r:x", "5/1000", "none")]),
        lambda q, _: q.transitions.revert_limits("x", "ana", ["r:x"]),
    ),
    "unpark": Call(
        "unpark",
        lambda q: step(q, ended(active(q, "a")[0], "parked", note="probe.work"), token="parking", want=0).verdicts,
        lambda q, _: q.transitions.unpark(["probe.work"]),
        repeat=0,
    ),
    "rescue": Call("rescue", abandoned, rescue, repeat=0),
}


@pytest.fixture
def link(redis_url: str) -> Iterator[Proxy]:
    with proxy(redis_url) as opened:
        yield opened


@pytest.fixture
def far(link: Proxy) -> Iterator[Queues]:
    """The queues behind the proxy."""
    opened = Queues.open(link.url)
    yield opened
    opened.close()


def left(raw: redis.Redis) -> dict[str, Any]:
    """What Redis holds, without times and without what only remembers answers."""
    census = take_census(raw)
    return {
        "events": [
            line.split(b"|")[::2] for _, one in raw.xrange(keys.EVENTS()) for line in one[b"events"].split(b"\n")
        ],
        "hashes": census.hashes,
        "places": census.places,
        "history": {job_id: [ending.outcome for ending in endings] for job_id, endings in census.history.items()},
        "lanes": [lanes_of(raw, queue) for queue in sorted(census.in_lanes)],
        "logs": {key: raw.llen(key) for key in census.keys if key.startswith((keys.LOG.prefix, keys.TICKS.prefix))},
        "keys": {key for key in census.keys if not key.startswith(keys.ANSWER.prefix)},
    }


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_call_that_is_lost_once_is_as_if_nothing_had_happened(
    queues: Queues, far: Queues, link: Proxy, raw: redis.Redis, name: str, lost: str
) -> None:
    call = CALLS[name]
    answer, state = call.act(queues, call.arrange(queues)), left(raw)
    raw.flushall()
    scene = call.arrange(queues)
    strike = {"request": link.request_lost, "reply": link.reply_lost}[lost](script(call.script))
    told = call.act(far, scene)
    assert left(raw) == state
    assert told == (answer if lost == "request" or call.repeat is None else call.repeat)
    assert strike.hits == 1


def test_a_heartbeat_whose_answer_is_lost_fails_and_the_next_one_says_the_same(
    queues: Queues, far: Queues, link: Proxy
) -> None:
    (claim,) = active(queues, "a")
    execution = ("sync", "a", claim.execution_id, claim.started_at)

    def renew() -> list[int]:
        return far.transitions.renew(
            "w1", lease_ms=30_000, ttl_s=60, fields={"state": "busy"}, queues=["sync"], executions=[execution]
        )

    link.reply_lost(script("renew"))
    with pytest.raises(QueueUnavailable):
        renew()
    assert renew() == [1]


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_an_enqueue_that_gets_no_answer_at_all_says_so_and_its_repeat_is_one_job(
    queues: Queues, far: Queues, link: Proxy, raw: redis.Redis, lost: str
) -> None:
    waiting(queues, "warm")
    {"request": link.request_lost, "reply": link.reply_lost}[lost](script("enqueue"), times=3)
    with pytest.raises(QueueUnavailable):
        far.transitions.enqueue([new_job("a")])
    assert far.transitions.enqueue([new_job("a")]) == [1 if lost == "request" else 0]
    assert raw.lrange(keys.QUEUE("sync"), 0, -1) == [b"warm", b"a"]

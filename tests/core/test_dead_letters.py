"""Dead letters: what failed for good is kept, found by what it was, replayed in batches, and never run twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis

from flowzz.clock import to_rq
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.dead import BATCH, DeadFilter, DeadLetters
from flowzz.queues.engine import Queues
from support.engine import ended, failure_text, new_job, step


def die(queues: Queues, *ids: str, queue: str = "sync") -> None:
    queues.transitions.enqueue([new_job(job_id, queue=queue, payload={"n": job_id}) for job_id in ids])
    run_to_death(queues, queue)


def run_to_death(queues: Queues, queue: str = "sync") -> None:
    while claims := step(queues, served=(queue,), want=100).claims:
        step(queues, *[ended(claim, "failed", body=failure_text()) for claim in claims], want=0)


def test_a_dead_job_keeps_its_queue_payload_error_attempts_and_time(queues: Queues) -> None:
    die(queues, "a")
    die(queues, "b", queue="mail")
    page = DeadLetters(queues).page()
    assert [(r.id, r.queue) for r in page.items] == [("b", "mail"), ("a", "sync")]
    dead = page.items[1]
    assert (dead.payload, dead.attempts_made, dead.state) == ({"n": "a"}, 1, JobState.FAILED)
    assert dead.error is not None
    assert (dead.error.type, dead.error.message) == ("ValueError", "broken")
    assert dead.ended_at is not None
    assert [attempt.outcome for attempt in queues.attempts("a")] == ["failed"]


def test_a_job_that_stalls_too_often_is_dead(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a", max_stalled=0)])
    (claim,) = step(queues).claims
    raw.zadd(keys.WIP("sync"), {f"a:{claim.execution_id}": 1})
    queues.transitions.rescue(limit=9, keep_failed=9, failure_text=failure_text(), max_stalled=1)
    assert [r.id for r in DeadLetters(queues).page(DeadFilter(error="Stalled")).items] == ["a"]


def test_replay_gives_all_attempts_again_and_keeps_the_history(queues: Queues) -> None:
    die(queues, "a")
    report = DeadLetters(queues).replay()
    assert (report.matched, report.moved) == (1, 1)
    again = queues.job("a")
    assert (again.state, again.attempts_made, again.error) == (JobState.WAITING, 0, None)
    assert [attempt.outcome for attempt in queues.attempts("a")] == ["failed"]
    assert DeadLetters(queues).page().total == 0


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (DeadFilter(queue="mail"), {"c"}),
        (DeadFilter(queue="nowhere"), set()),
        (DeadFilter(job="probe.work"), {"a", "b", "c"}),
        (DeadFilter(job="probe.other"), set()),
        (DeadFilter(company="loja-1"), {"a", "b", "c"}),
        (DeadFilter(company="loja-2"), set()),
        (DeadFilter(error="ValueError", queue="sync"), {"a", "b"}),
        (DeadFilter(error="KeyError"), set()),
    ],
)
def test_some_are_replayed_by_what_they_are(queues: Queues, only: DeadFilter, found: set[str]) -> None:
    die(queues, "a", "b")
    die(queues, "c", queue="mail")
    assert {record.id for record in DeadLetters(queues).page(only).items} == found
    assert DeadLetters(queues).replay(only).moved == len(found)
    assert {i for i in "abc" if queues.job(i).state is JobState.WAITING} == found


def test_some_are_replayed_by_when_they_died_or_by_id(queues: Queues) -> None:
    for job_id in "abc":
        die(queues, job_id)
    letters = DeadLetters(queues)
    died = queues.job("b").ended_at
    assert died is not None
    early, late = DeadFilter(until=died), DeadFilter(since=died + timedelta(microseconds=1))
    assert [r.id for r in letters.page(early).items] == ["b", "a"]
    assert [r.id for r in letters.page(late).items] == ["c"]
    assert letters.replay(early, ids=["b", "c"]).moved == 1
    assert [r.id for r in letters.page().items] == ["c", "a"]


def test_a_batch_that_is_repeated_after_its_answer_was_lost_runs_nothing_twice(queues: Queues) -> None:
    die(queues, "a")
    died = queues.job("a").ended_at
    assert died is not None
    batch = [("a", to_rq(died))]
    assert queues.transitions.move_dead("replay", "", batch) == [1]
    assert queues.transitions.move_dead("replay", "", batch) == [0]
    run_to_death(queues)
    assert queues.transitions.move_dead("replay", "", batch) == [0], "it died anew since the list was made"
    assert len(queues.attempts("a")) == 2


def test_a_repeat_with_the_bound_of_the_first_leaves_what_died_later(queues: Queues) -> None:
    die(queues, "a", "b")
    letters = DeadLetters(queues)
    until = letters.replay(ids=["a", "b"]).until
    run_to_death(queues)
    assert letters.replay(DeadFilter(until=until)).moved == 0
    assert letters.replay().moved == 2


def test_many_are_replayed_in_batches_in_the_order_of_their_deaths(queues: Queues) -> None:
    ids = [f"job-{number:03}" for number in range(BATCH + 20)]
    die(queues, *ids)
    deaths = sorted(ids, key=lambda i: queues.job(i).ended_at or 0)
    assert DeadLetters(queues).replay().moved == len(ids)
    waiting = queues.jobs("sync", JobState.WAITING, limit=500).items
    assert [queues_id.id for queues_id in waiting][:1] == deaths[:1]
    assert len(waiting) == len(ids)


def test_removed_dead_jobs_leave_no_key(queues: Queues, raw: redis.Redis) -> None:
    die(queues, "gone-job")
    assert DeadLetters(queues).remove().moved == 1
    assert not [key for key in raw.scan_iter("*") if b"gone-job" in key]


def test_the_failed_registry_of_rq_is_the_place(queues: Queues, raw: redis.Redis) -> None:
    die(queues, "a")
    assert raw.zrange(keys.FAILED("sync"), 0, -1) == [b"a"]
    DeadLetters(queues).replay()
    assert raw.zcard(keys.FAILED("sync")) == 0

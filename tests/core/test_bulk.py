"""Many jobs at once: all validated first, all or nothing, ids in order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowzz.app import Flowzz
from flowzz.errors import DuplicateJob, InvalidPayload, InvalidRequest, UnknownJob
from flowzz.jobs.options import Enqueued, EnqueueOptions, Submission
from flowzz.queues.fields import Envelope
from support.engine import new_job


def stored(app: Flowzz) -> int:
    stats = app.queues.stats(["probe"])[0]
    return stats.waiting + stats.delayed


def test_all_are_stored_in_their_order(app: Flowzz) -> None:
    made = app.enqueue_many(
        [("probe.work", {"pages": n}) for n in range(1201)]
        + [Submission("probe.work", {}, EnqueueOptions(delay=timedelta(hours=1)))]
    )
    assert all(one.created for one in made)
    stats = app.queues.stats(["probe"])[0]
    assert (stats.waiting, stats.delayed) == (1201, 1)
    assert [app.queues.job(made[n].id).payload["pages"] for n in (0, 499, 500, 1200)] == [0, 499, 500, 1200]
    reply = app.queues.transitions.step(
        "w", "t", lease_ms=9000, want=1201, keep_completed=1, keep_failed=1, queues=["probe"], settlements=[]
    )
    assert [claim.job_id for claim in reply.claims] == [one.id for one in made[:1201]]


def test_none_is_stored_when_one_is_refused(app: Flowzz) -> None:
    with pytest.raises(InvalidPayload) as refused:
        app.enqueue_many([("probe.work", {}), ("probe.work", {"pages": "many"})])
    assert refused.value.part == "jobs.1"
    with pytest.raises(UnknownJob):
        app.enqueue_many([("probe.work", {}), ("probe.wrok", {})])
    assert stored(app) == 0


@pytest.mark.parametrize("many", [0, 600])
def test_none_is_stored_when_an_id_is_taken(app: Flowzz, many: int) -> None:
    mine = EnqueueOptions(job_id="mine")
    app.enqueue("probe.work", {}, mine)
    with pytest.raises(DuplicateJob, match="mine"):
        app.enqueue_many([*[("probe.work", {})] * many, ("probe.work", {}, mine), ("probe.work", {})])
    assert stored(app) == 1


def test_one_id_twice_is_refused(app: Flowzz) -> None:
    mine = EnqueueOptions(job_id="mine")
    with pytest.raises(InvalidRequest, match="'mine' more than once"):
        app.enqueue_many([("probe.work", {}, mine), ("probe.work", {}, mine)])
    assert stored(app) == 0


def test_a_repeat_with_the_same_ids_and_nonces_stores_nothing_more(app: Flowzz) -> None:
    jobs = [("probe.work", {}, EnqueueOptions(job_id=f"j{n}", nonce="once")) for n in range(3)]
    assert [one.created for one in app.enqueue_many(jobs)] == [True] * 3
    assert app.enqueue_many(jobs) == [Enqueued(f"j{n}", created=False) for n in range(3)]
    assert stored(app) == 3


def test_the_same_key_twice_in_a_bulk_is_one_job(app: Flowzz) -> None:
    keyed = EnqueueOptions(unique_key="k")
    first, second = app.enqueue_many([("probe.work", {}, keyed), ("probe.work", {}, keyed)])
    assert (first.created, second) == (True, Enqueued(first.id, created=False))


def test_nothing_at_all_is_no_call(app: Flowzz) -> None:
    assert app.enqueue_many([]) == []


def test_the_script_itself_is_all_or_nothing(app: Flowzz) -> None:
    """Somebody takes an id between the look and the call."""
    transitions = app.queues.transitions
    assert transitions.enqueue([new_job("a", queue="probe")]) == [1]
    taken = new_job("a", queue="probe", nonce="other")
    assert isinstance(taken.envelope, Envelope)
    assert transitions.enqueue([new_job("b", queue="probe"), taken, new_job("c", queue="probe")]) == [-2, -1, -2]
    assert stored(app) == 1

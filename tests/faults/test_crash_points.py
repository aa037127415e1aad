"""F1 to F7: kill -9 before and after each round trip to Redis of each role; fresh processes recover; nothing is lost.

The short tier takes some points of each role, by ``FLOWZZ_SEED``; ``make faults`` takes all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from flowzz.jobs.options import EnqueueOptions
from flowzz.queues import keys
from support.engine import ended, failure_text, step
from support.faults import acts
from support.faults.crashes import Lane, Scene, Tally, lanes, sample, sweep, worker_again
from support.faults.invariants import (
    assert_invariants,
    gather,
    i1_accepted_jobs_are_in_one_place,
    i6_unknown_enqueues_are_no_or_one_job,
    i7_counts_add_up,
    i8_no_key_is_left_behind,
)
from support.faults.jobs import SCHEDULE, SINK_VARIABLE
from support.faults.roles import Member

LANES = 6
SHORT_POINTS = 4
Arrangement = Callable[[Lane], Mapping[str, str]]
Recovery = Callable[[Lane, Mapping[str, str]], Sequence[Member]]
NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    with lanes(tmp_path_factory.mktemp("lanes"), LANES) as opened:
        yield opened


def role_again(role: str) -> Recovery:
    def recover(lane: Lane, told: Mapping[str, str]) -> Sequence[Member]:
        second = lane.role(role, **told)
        assert second.wait(30), f"the second {role} does not end:\n{second.output()}"
        assert second.finished, f"the second {role} broke:\n{second.output()}"
        return [lane.role("worker")]

    return recover


# Producers


def producing(count: int, callback: bool = False) -> Arrangement:
    def arrange(lane: Lane) -> Mapping[str, str]:
        lane.expected |= {f"job-{number}" for number in range(count)}
        if callback:
            lane.expected.add("job-batch-done")
        return acts.environment_of_producer(lane.log, lane.sink.path, "job", count)

    return arrange


def whole_or_nothing(lane: Lane) -> None:
    """What a dead producer left: each job is stored whole, or not at all."""
    kinds = (
        i1_accepted_jobs_are_in_one_place,
        i6_unknown_enqueues_are_no_or_one_job,
        i7_counts_add_up,
        i8_no_key_is_left_behind,
    )
    assert_invariants(gather(lane.url, lane.sink, lane.log), kinds)


def producer(name: str, role: str, count: int, *, callback: bool = False) -> Scene:
    return Scene(
        name=name,
        role=role,
        arrange=producing(count, callback),
        recover=role_again(role),
        halfway=whole_or_nothing,
    )


# Workers


def one_of_each(lane: Lane) -> Mapping[str, str]:
    """Two queues; a retry, a delay, a chain, a duplicates key, limits, reports, and a batch with its callback."""
    lane.enqueue("faults.alpha", "plain")
    lane.enqueue("faults.beta", "reporting", reports=True)
    lane.enqueue("faults.beta", "retried", fail_until=1)
    lane.enqueue("faults.alpha", "delayed", EnqueueOptions(delay=timedelta(milliseconds=200)))
    lane.enqueue("faults.alpha", "first")
    lane.enqueue("faults.beta", "second", EnqueueOptions(depends_on=["first"]))
    lane.enqueue("faults.only", "unique", number=1)
    for number in (1, 2):
        lane.enqueue("faults.limited", f"limited-{number}", empresa_id="loja-1")
    members = [
        ("faults.alpha", {"sink": str(lane.sink.path)}, EnqueueOptions(job_id=f"m-{n}", nonce="one")) for n in (1, 2)
    ]
    ids = ["m-1", "m-2", "batch-done"]
    with lane.log.trying(*[(job_id, "one") for job_id in ids]):
        lane.app.batch(members, callback=("faults.beta", {"sink": str(lane.sink.path)}), batch_id="batch", nonce="one")
    lane.expected |= set(ids)
    return {}


def one_job(*queues: str) -> Arrangement:
    def arrange(lane: Lane) -> Mapping[str, str]:
        lane.enqueue("faults.alpha", "only")
        return {"FLOWZZ_QUEUES": ",".join(queues)}

    return arrange


def apart(lane: Lane) -> Mapping[str, str]:
    lane.enqueue("apart.work", "apart-1", reports=True)
    lane.enqueue("apart.work", "apart-2", work_ms=150)
    return {acts.APART_VARIABLE: "1"}


WORKER = Scene(name="worker, all kinds of jobs", role="worker", arrange=one_of_each, recover=worker_again)


# The others


def three_ticks_are_due(lane: Lane) -> Mapping[str, str]:
    lane.app.queues.begin_schedule(SCHEDULE, int((NOW - timedelta(hours=3)).timestamp() * 1000))
    hours = [NOW.replace(minute=0) - timedelta(hours=back) for back in range(3)]
    ids = [f"{SCHEDULE.replace('.', '-')}-{int(hour.timestamp())}-{place}" for hour in hours for place in (0, 1)]
    lane.expected |= set(ids)
    with lane.log.trying(*[(job_id, "") for job_id in ids]):
        pass
    return {acts.CLOCK_VARIABLE: NOW.isoformat(), SINK_VARIABLE: str(lane.sink.path)}


def much_to_sweep(lane: Lane) -> Mapping[str, str]:
    """Jobs whose worker is gone, jobs that stand nowhere, finished ones that are too old."""
    for number in range(5):
        lane.enqueue("faults.alpha", f"stalled-{number}")
    step(lane.app.queues, served=("alpha",), worker="gone", want=10, lease_ms=0)
    for number in range(3):
        lane.enqueue("faults.beta", f"astray-{number}")
        lane.raw.lrem(keys.QUEUE("beta"), 1, f"astray-{number}")
    return {}


def twelve_are_dead(lane: Lane) -> Mapping[str, str]:
    queues = lane.app.queues
    for number in range(12):
        lane.enqueue("faults.alpha", f"dead-{number}")
    claims = step(queues, served=("alpha",), worker="gone", want=12).claims
    step(queues, *[ended(claim, "failed", body=failure_text()) for claim in claims], worker="gone", want=0)
    return {}


SCENES = [
    producer("producer, one by one", "producer", 3),
    producer("producer, bulk", "bulk_producer", 10),
    producer("producer, chain and batch", "flow_producer", 5, callback=True),
    WORKER,
    Scene(name="worker, one job, 1 queue", role="worker", arrange=one_job("alpha"), recover=worker_again),
    Scene(name="worker, one job, 2 queues", role="worker", arrange=one_job("alpha", "beta"), recover=worker_again),
    Scene(name="worker of job processes", role="worker", arrange=apart, recover=worker_again),
    Scene(name="process of a job", role="worker", arrange=apart, recover=worker_again, armed="child"),
    Scene(name="scheduler", role="scheduler", arrange=three_ticks_are_due, recover=role_again("scheduler")),
    Scene(name="sweeper", role="sweeper", arrange=much_to_sweep, recover=role_again("sweeper")),
    Scene(name="web, replay of the dead", role="web", arrange=twelve_are_dead, recover=role_again("web")),
]


by_name = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)


@by_name
def test_some_points(worlds: list[Lane], scene: Scene, seed: int, tell: Callable[[Tally], None]) -> None:
    tally = sample(worlds, scene, SHORT_POINTS, seed)
    tell(tally)
    assert tally.points >= SHORT_POINTS
    assert tally.lost == 0


@pytest.mark.long
@by_name
def test_every_point(worlds: list[Lane], scene: Scene, tell: Callable[[Tally], None]) -> None:
    tally = sweep(worlds, scene)
    tell(tally)
    assert tally.points
    assert tally.lost == 0

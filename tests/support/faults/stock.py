"""The same with plain RQ beside ours: ``python -m support.faults.stock`` (part of ``make faults``) prints it.

One job with ``Retry(max=3)``, one queue or two; every round trip of the worker and its work horse is a point, with both
killed, or the horse alone. Then *full recovery*: three fresh workers, one after the other, each with leases, locks and
waiting times that have passed, so nothing is called lost that plain RQ's own maintenance brings back sooner or later.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import rq
from rq.job import Job, JobStatus

from support.faults.acts import APART_VARIABLE, BURST_VARIABLE
from support.faults.crashes import Lane, Scene, Shot, Tally, lanes, sweep, worker_again
from support.faults.points import VARIABLE, Point, Victims
from support.faults.stock_chaos import rage_of_stock
from support.faults.stock_jobs import effect, let_time_pass
from support.faults.stock_rows import measured
from support.waiting import eventually

LANES = 6
JOB = "only"
RECOVERIES = 3
CHAOS = (1_500, 10)
"""Jobs and seconds, as in the short tier of test_chaos.py: with a fork for each job, 10,000 take far longer."""


def one_job(*queues: str) -> Callable[[Lane], Mapping[str, str]]:
    """In the first of the queues that its worker serves."""

    def arrange(lane: Lane) -> Mapping[str, str]:
        queue = rq.Queue(queues[0], connection=lane.raw)
        queue.enqueue(effect, str(lane.sink.path), job_id=JOB, retry=rq.Retry(max=3))
        return {"FLOWZZ_QUEUES": ",".join(queues)}

    return arrange


def our_job(job: str, *queues: str) -> Callable[[Lane], Mapping[str, str]]:
    """The same with ours."""

    def arrange(lane: Lane) -> Mapping[str, str]:
        lane.enqueue(job, JOB)
        apart = {APART_VARIABLE: "1"} if job.startswith("apart.") else {}
        return {"FLOWZZ_QUEUES": ",".join(queues), **apart}

    return arrange


def shoot(lane: Lane, scene: Scene, point: Point) -> Shot:
    """One try with plain RQ."""
    lane.clear()
    told = scene.arrange(lane)
    member = lane.role(scene.role, **told, **{VARIABLE: point.dump()})

    def over() -> bool:
        if member.alive and _status(lane) in (JobStatus.FINISHED, JobStatus.FAILED):
            member.signal(15)
        return not member.alive

    eventually(over, 60, saying=f"plain RQ's worker has ended\n{member.output()}")
    for _ in range(RECOVERIES if lane.marker.exists() else 0):
        let_time_pass(lane.raw, told["FLOWZZ_QUEUES"].split(","))
        helper = lane.role(scene.role, **told, **{BURST_VARIABLE: "1"})
        assert helper.wait(60), f"plain RQ's worker does not end\n{helper.output()}"
    effects = lane.sink.commits()
    at = lane.marker.read_text() if lane.marker.exists() else None
    return Shot(point, at, lost=not effects, twice=sum(commit.refused > 0 for commit in effects))


def _status(lane: Lane) -> JobStatus | None:
    return Job.fetch(JOB, connection=lane.raw).get_status() if lane.raw.exists(f"rq:job:{JOB}") else None


def _stock(name: str, victims: Victims, *queues: str) -> Scene:
    return Scene(
        name=name, role="stock_worker", arrange=one_job(*queues), recover=lambda lane, told: [], victims=victims
    )


STOCK = [
    _stock("worker and horse, 1 queue", "family", "alpha"),
    _stock("worker and horse, 2 queues", "family", "alpha", "beta"),
    _stock("horse alone, 1 queue", "fork", "alpha"),
    _stock("horse alone, 2 queues", "fork", "alpha", "beta"),
]
_ours = Scene(name="worker, 1 queue", role="worker", arrange=our_job("faults.alpha", "alpha"), recover=worker_again)
OURS = [
    _ours,
    replace(_ours, name="worker, 2 queues", arrange=our_job("faults.alpha", "alpha", "beta")),
    replace(_ours, name="worker of a job's process, 1 queue", arrange=our_job("apart.work", "alpha")),
    replace(_ours, name="worker of a job's process, 2 queues", arrange=our_job("apart.work", "alpha", "beta")),
]


def main() -> None:
    """The tables of plain RQ for docs/reliability.md; arguments name the parts: points, chaos, rows."""
    parts = set(sys.argv[1:]) or {"points", "chaos", "rows"}
    seed = int(os.environ.get("FLOWZZ_SEED") or random.randrange(10**6))
    with tempfile.TemporaryDirectory() as folder, lanes(Path(folder), LANES) as worlds:
        if "points" in parts:
            print("| | killed | points | lost | once | twice |\n|---|---|---|---|---|---|")
            for whose, tallies in (
                (f"rq {rq.VERSION}", (sweep(worlds, scene, shoot) for scene in STOCK)),
                ("Flowzz", (sweep(worlds, scene) for scene in OURS)),
            ):
                for tally in tallies:
                    print(_row(whose, tally), flush=True)
        if "chaos" in parts:
            print(f"chaos, rq {rq.VERSION}, FLOWZZ_SEED={seed}: ", end="", flush=True)
            print(rage_of_stock(worlds[0], jobs=CHAOS[0], seconds=CHAOS[1], seed=seed))
        if "rows" in parts:
            print(f"| fault | rq {rq.VERSION} |\n|---|---|")
            logging.getLogger("rq").setLevel(logging.ERROR)
            for name, came in measured(worlds[0], os.environ.get("FAULTS_ROW", "")):
                print(f"| {name} | {came} |", flush=True)


def _row(whose: str, tally: Tally) -> str:
    return f"| {whose} | {tally.name} | {tally.points} | {tally.lost} | {tally.once} | {tally.twice} |"


if __name__ == "__main__":
    main()

"""How Flowzz's drain scales: with the jobs that wait behind, with queues, with companies.

Each point is the rate between the first and the last start of 5,000 jobs, three times one after the other from the same
queue by one worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from systems import System
from workers import Bench, Workers

from stages.drain import WITHIN_S, Metrics

PART = 5_000
PARTS = 3


SMALL = {"depth": (1_000, 10_000), "queues": (1, 10, 100), "companies": (1, 100, 10_000), "blocks": (1, 100, 10_000)}
"""The points of a run that is smaller than a whole one."""


@dataclass(frozen=True)
class Curve:
    """``points`` of what the axis says; ``environment`` is that of the processes at a point, ``{}`` in it the point."""

    title: str
    axis: str
    points: tuple[int, ...]
    environment: Mapping[str, str]


COMPANIES = (1, 10, 100, 1_000, 10_000)
# A hundred and one companies beside 10 or 100 queues: each queue gets jobs of all of them.
CURVES = {
    "depth": Curve("Jobs waiting behind", "jobs waiting", (1_000, 10_000, 100_000, 1_000_000), {}),
    "queues": Curve("Queues of one worker", "queues", (1, 10, 100), {"BENCH_QUEUES": "{}", "BENCH_COMPANIES": "101"}),
    "companies": Curve("Companies, their jobs mixed", "companies", COMPANIES, {"BENCH_COMPANIES": "{}"}),
    "blocks": Curve(
        "Companies, one's jobs behind the other's",
        "companies",
        COMPANIES,
        {"BENCH_COMPANIES": "{}", "BENCH_BLOCKS": "1"},
    ),
}


def points(name: str, scale: float) -> list[int]:
    """The points of a curve that a run of this size measures: filling the deepest queues takes minutes."""
    return [point for point in CURVES[name].points if scale >= 1 or point in SMALL[name]]


def measure(system: System, name: str, point: int, scale: float) -> list[Metrics]:
    """One point, three times. At a depth, so many jobs still wait when the last of them starts."""
    part, behind = max(100, round(PART * scale)), 0
    if name == "depth":
        part, behind = min(part, point), point
    environment = {key: value.format(point) for key, value in CURVES[name].environment.items()}
    with Bench(system, environment=environment) as bench:
        bench.produce("fill", behind + PARTS * part)
        with Workers(bench) as workers:
            workers.wait(lambda: bench.handled() > 0, WITHIN_S, pause_s=0.002, what="the first job")
            cpu, redis = workers.cpu_s(), bench.server.use()
            workers.wait(lambda: bench.handled() >= PARTS * part, WITHIN_S, pause_s=0.002, what="the last job")
            used = bench.server.use().since(redis)
            cpu = workers.cpu_s() - cpu
        starts = sorted(start.at for start in bench.starts()[: PARTS * part])
    costs = {
        "worker_us": cpu / PARTS / part * 1e6,
        "redis_us": used.cpu_s / PARTS / part * 1e6,
        "commands": used.commands / PARTS / part,
    }
    parts = [starts[at : at + part] for at in range(0, PARTS * part, part)]
    return [{"rate": (part - 1) / (times[-1] - times[0]), **costs} for times in parts]

"""What one worker process should reach beside its peers, and what a run says of it. Issue 4 of the project set them."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from report import Results

PYTHON_PEERS = ("rq", "rq-fork", "celery", "celery-threads", "dramatiq", "huey", "arq", "taskiq", "saq", "streaq")
IDEAL_IO_RATE = 5_000
"""Jobs a second, of 20 ms each, with 100 of them in flight."""


@dataclass(frozen=True)
class Target:
    """``measure`` gives the figure, or raises LookupError when the run did not measure it; ``shown`` is its format."""

    title: str
    measure: Callable[[Results], float]
    is_at_most: bool
    bound: float
    shown: str = "{:.2f} ×"

    def row(self, results: Results) -> str:
        """A line of the table: the target, the figure of this run, and whether it is met."""
        goal = f"{'≤' if self.is_at_most else '≥'} {self.shown.format(self.bound)}"
        try:
            figure = self.measure(results)
        except LookupError:
            return f"| {self.title} | {goal} | – | not measured |"
        is_met = (operator.le if self.is_at_most else operator.ge)(figure, self.bound)
        return f"| {self.title} | {goal} | {self.shown.format(figure)} | {'met' if is_met else '**missed**'} |"


def _median(results: Results, stage: str, system: str, metric: str) -> float:
    values = results.values(stage, system, metric)
    if not values:
        raise LookupError(f"{stage} of {system}: no {metric}")
    return statistics.median(values)


def _beside(stage: str, metric: str, peer: str) -> Callable[[Results], float]:
    return lambda results: _median(results, stage, "flowzz", metric) / _median(results, stage, peer, metric)


def _beside_python(results: Results) -> float:
    rates = [results.values("drain", peer, "rate") for peer in PYTHON_PEERS]
    measured = [statistics.median(values) for values in rates if values]
    if not measured:
        raise LookupError("no Python peer was measured")
    return _median(results, "drain", "flowzz", "rate") / max(measured)


def _floor(results: Results) -> float:
    return _median(results, "floor", "flowzz", "floor_rate") / _median(results, "drain", "flowzz", "rate")


def _of_ideal(system: str) -> Callable[[Results], float]:
    return lambda results: _median(results, "io", system, "rate") / IDEAL_IO_RATE * 100


def _flat(curve: str, near: int, far: int) -> Callable[[Results], float]:
    def measure(results: Results) -> float:
        points: Mapping[str, Mapping[str, list[float]]] = results.curves[curve]["flowzz"]
        rates = [statistics.median(points[str(point)]["rate"]) for point in (near, far)]
        return rates[1] / rates[0] * 100

    return measure


def _idle(results: Results) -> float:
    return _median(results, "idle", "flowzz", "idle_worker_ms") / 10


PERCENT = "{:.1f} %"
TARGETS = [
    Target("drain of no-op jobs, of Bull's", _beside("drain", "rate", "bull"), False, 2),
    Target("drain, of bee-queue's", _beside("drain", "rate", "beequeue"), False, 1.5),
    Target("drain, of the fastest Python peer's", _beside_python, False, 10),
    Target("the floor, of the drain", _floor, True, 2),
    Target("enqueue one by one, of Bull's", _beside("enqueue", "one_rate", "bull"), False, 1.5),
    Target("enqueue in bulk, of Bull's", _beside("enqueue", "bulk_rate", "bull"), False, 2),
    Target("20 ms I/O, threads, of the ideal", _of_ideal("flowzz"), False, 90, PERCENT),
    Target("20 ms I/O, `async def`, of the ideal", _of_ideal("flowzz-async"), False, 90, PERCENT),
    Target("pickup p50, of Bull's", _beside("idle", "p50_ms", "bull"), True, 1),
    Target("pickup p99, of Bull's", _beside("idle", "p99_ms", "bull"), True, 1),
    Target("Redis bytes a waiting job, of Bull's", _beside("drain", "waiting_bytes", "bull"), True, 1),
    Target("peak RSS of the worker, of Bull's", _beside("drain", "rss_mb", "bull"), True, 1.2),
    Target("drain with 10⁶ waiting behind, of that with 10³", _flat("depth", 1_000, 1_000_000), False, 80, PERCENT),
    Target("drain with 10,000 companies, of that with 1,000", _flat("companies", 1_000, 10_000), False, 80, PERCENT),
    Target("the same, one's jobs behind the other's", _flat("blocks", 1_000, 10_000), False, 80, PERCENT),
    Target("CPU of an idle worker", _idle, True, 1, PERCENT),
]


def table(results: Results) -> str:
    """Every target beside what the run measured, as Markdown."""
    rows = ["| one worker process | target | this run | |", "|---|--:|--:|---|"]
    return "\n".join([*rows, *(target.row(results) for target in TARGETS)])

"""Enqueue from one producer: one job after the other, and in bulk where the system has a call for that."""

from __future__ import annotations

from systems import System
from workers import Bench

from stages.drain import Metrics


def enqueue(system: System, one: int, bulk: int) -> Metrics:
    metrics: Metrics = {}
    with Bench(system) as bench:
        metrics["one_rate"] = bench.produce("one", one)
        metrics["one_commands"] = bench.server.use().commands / one
    if system.bulk:
        with Bench(system) as bench:
            metrics["bulk_rate"] = bench.produce("bulk", bulk)
    return metrics

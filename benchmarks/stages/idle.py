"""An idle worker: how soon it starts a job, and what it costs while there is none."""

from __future__ import annotations

import time

from systems import System
from workers import STARTS_WITHIN_S, Bench, Workers

from stages.drain import Metrics

SETTLED_S = 1.5
"""Start-up work of every system is over by then."""
GAP_S = 0.05


def idle(system: System, jobs: int, seconds: float) -> Metrics:
    """CPU milliseconds and Redis commands a second, and memory, of a worker that has nothing to do; then ``jobs``.

    Latency: milliseconds from before the enqueue call to the handler's start, one job at a time.
    """
    with Bench(system) as bench:
        bench.produce("fill", 1)  # some systems make their keys with the first job
        with Workers(bench) as workers:
            workers.wait(lambda: bench.handled() > 0, STARTS_WITHIN_S, pause_s=0.02, what="the first job")
            time.sleep(SETTLED_S)
            metrics = _cost(bench, workers, seconds)
            bench.produce("beat", jobs, str(GAP_S))
            workers.wait(lambda: bench.handled() > jobs, STARTS_WITHIN_S, pause_s=0.02, what="the last job")
        taken = sorted((start.at - start.sent_at) * 1000 for start in bench.starts() if start.sent_at)
    return {**metrics, "p50_ms": taken[len(taken) // 2], "p99_ms": taken[min(len(taken) - 1, len(taken) * 99 // 100)]}


def _cost(bench: Bench, workers: Workers, seconds: float) -> Metrics:
    cpu, use, began = workers.running_s(), bench.server.use(), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    spent, used = workers.running_s() - cpu, bench.server.use().since(use)
    return {
        "idle_worker_ms": spent / took * 1000,
        "idle_redis_ms": used.cpu_s / took * 1000,
        "idle_commands": used.commands / took,
        "idle_pss_mb": workers.memory_mb()[1],
    }

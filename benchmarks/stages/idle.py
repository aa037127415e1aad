"""An idle worker: how soon it starts a job, and what it costs while there is none."""

from __future__ import annotations

import time

from systems import System
from workers import STARTS_WITHIN_S, Bench, Workers

from stages.drain import Metrics

SETTLED_S = 2.0
"""Start-up work of every system is over by then."""
GAP_S = 0.02


def latency(system: System, jobs: int) -> Metrics:
    """Milliseconds from before the enqueue call to the handler's start; the worker is idle at each job."""
    with Bench(system) as bench, _waiting_worker(bench) as processes:
        bench.produce("beat", jobs, str(GAP_S))
        processes.wait(lambda: bench.handled() > jobs, STARTS_WITHIN_S, pause_s=0.02, what="the last job")
        taken = sorted((start.at - start.sent_at) * 1000 for start in bench.starts() if start.sent_at)
    return {"p50_ms": taken[len(taken) // 2], "p99_ms": taken[min(len(taken) - 1, len(taken) * 99 // 100)]}


def idle(system: System, seconds: float) -> Metrics:
    """CPU milliseconds and Redis commands a second, and memory, of a worker that has nothing to do."""
    with Bench(system) as bench, _waiting_worker(bench) as processes:
        cpu, use, began = processes.running_s(), bench.server.use(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        spent, used = processes.running_s() - cpu, bench.server.use().since(use)
        _, proportional = processes.memory_mb()
    return {
        "idle_worker_ms": spent / took * 1000,
        "idle_redis_ms": used.cpu_s / took * 1000,
        "idle_commands": used.commands / took,
        "idle_pss_mb": proportional,
    }


def _waiting_worker(bench: Bench) -> Workers:
    """A worker that has done one job: some systems make their keys with the first."""
    bench.produce("fill", 1)
    workers = Workers(bench)
    workers.wait(lambda: bench.handled() > 0, STARTS_WITHIN_S, pause_s=0.02, what="the first job")
    time.sleep(SETTLED_S)
    return workers

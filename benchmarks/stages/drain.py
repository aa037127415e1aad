"""Drain: the queue is filled, then the worker is started, and works until every job has ended.

The clock, for every system the same: from the moment the first handler starts (with several workers: the moment when
each has started one) to the moment when Redis holds the final state of the last job. CPU time, commands and socket
reads are counted over the same time.
"""

from __future__ import annotations

import time

from systems import System
from workers import STARTS_WITHIN_S, Bench, Failed, Start, Workers

Metrics = dict[str, float]
WITHIN_S = 240


def drain(system: System, jobs: int, *, job: str = "noop", workers: int = 1) -> Metrics:
    with Bench(system, job) as bench:
        empty = bench.server.stored_bytes()
        bench.produce("fill", jobs)
        waiting = bench.server.stored_bytes() - empty
        metrics = run(bench, jobs, workers)
        kept = bench.server.stored_bytes() - empty
    metrics["waiting_bytes"] = waiting / jobs
    if system.keeps is None:
        metrics["kept_bytes"] = kept / jobs
    return metrics


def run(bench: Bench, jobs: int, workers: int) -> Metrics:
    """Work off what waits."""
    server = bench.server
    before = server.use()
    with Workers(bench, workers) as processes:
        processes.wait(lambda: bench.handled() > 0, STARTS_WITHIN_S, pause_s=0.002, what="the first job")
        cpu_before, at_first = processes.cpu_s(), server.use()
        processes.wait(lambda: bench.handled() >= jobs, WITHIN_S, pause_s=0.005, what="the last job")
        processes.wait(lambda: bench.system.done(server.ask, jobs), 30, pause_s=0.001, what="the last state")
        ended = time.monotonic()
        cpu, at_end = processes.cpu_s() - cpu_before, server.use()
        peak, proportional = processes.memory_mb()
    whole = at_end.since(before)
    began, early = _first(bench.starts(), workers)
    return {
        "rate": (jobs - early) / (ended - began),
        "worker_us": cpu / jobs * 1e6,
        "redis_us": (at_end.cpu_s - at_first.cpu_s) / jobs * 1e6,
        "commands": whole.commands / jobs,
        "reads": whole.reads / jobs,
        "writes": whole.writes / jobs,
        "rss_mb": peak,
        "pss_mb": proportional,
        "handled_twice": bench.handled() - jobs,
    }


def _first(starts: list[Start], workers: int) -> tuple[float, int]:
    """When every worker had started a job, and how many jobs had started before that moment."""
    first = {start.worker: start.at for start in sorted(starts, key=lambda start: -start.at)}
    if len(first) < workers:
        raise Failed(f"{workers - len(first)} of {workers} workers got no job")
    began = max(first.values())
    return began, sum(start.at < began for start in starts)

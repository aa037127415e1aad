"""A plugin for tests of faults: every job writes its runs and its one effect into a sink.

``faults.alpha`` and ``faults.beta`` in queues of those names; in alpha too ``faults.limited`` (one at a time a company,
fifty a second in all) and ``faults.only`` (unique by ``number``). The plugin ``apart`` has ``apart.work``, in a process
of its own: a worker that loads it starts a nursery, which takes a second.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import JobDefinition, job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.limits import Concurrency, RateLimit
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.retry import Fixed
from flowzz.plugins.contributions import MissedTick, Plugin, Schedule
from flowzz.plugins.hookspecs import hookimpl
from support.faults import points
from support.faults.sink import Sink

AGAIN = Fixed(attempts=3, delay=timedelta(milliseconds=50))
OFTEN = 1000
"""A job here may lose its worker so often: what is under test is that it runs, not that it is given up."""
SCHEDULE = "faults.hourly"
MINUTELY, OFTEN_SKIPPED = "faults.minutely", "faults.skipped"
TICKING_VARIABLE = "FAULTS_TICKING"
"""Set: schedules that tick every minute instead of the hourly one."""
SINK_VARIABLE = "FAULTS_SINK"
PLUGIN, APART = "support.faults.jobs:plugin", "support.faults.jobs:apart_plugin"
"""By name, so that the processes of jobs find them too."""


class Effect(Payload):
    """``fail_until``: attempts that raise; ``work_ms``: how long a run takes; ``reports``: round trips it makes."""

    sink: str
    empresa_id: str | None = None
    number: int = 0
    fail_until: int = 0
    work_ms: int = 0
    reports: bool = False


class Done(Result):
    attempt: int


def _perform(ctx: JobContext, data: Effect) -> Done:
    sink, execution = Sink(data.sink), execution_of(ctx)
    with sink.running(ctx.job_id, execution, ctx.attempt):
        time.sleep(data.work_ms / 1000)
        if data.reports:
            ctx.log("half of it")
            ctx.step("half", lambda: ctx.attempt)
            ctx.save_checkpoint({"attempt": ctx.attempt})
            ctx.progress(50)
        if ctx.attempt <= data.fail_until:
            raise ValueError(f"broken on attempt {ctx.attempt}")
        sink.commit(ctx.job_id, ctx.job_id, execution)
    return Done(attempt=ctx.attempt)


def execution_of(ctx: JobContext) -> str:
    """The id of this run; handlers have no use for it, tests do."""
    return ctx.reporter._claim.execution_id  # type: ignore[attr-defined]


def _job(name: str, queue: str, **options: Any) -> JobDefinition[Effect, Done]:
    def handler(ctx: JobContext, data: Effect) -> Done:
        return _perform(ctx, data)

    return job(name, queue=queue, retry=AGAIN, max_stalled=OFTEN, **options)(handler)


@job("faults.watchful", queue="alpha", retry=AGAIN, max_stalled=OFTEN)
def watchful(ctx: JobContext, data: Effect) -> Done:
    """Looks every 10 ms whether it still holds its lease."""
    sink, execution = Sink(data.sink), execution_of(ctx)
    with sink.running(ctx.job_id, execution, ctx.attempt):
        until = time.monotonic() + data.work_ms / 1000
        while time.monotonic() < until:
            ctx.raise_if_canceled()
            time.sleep(0.01)
        sink.commit(ctx.job_id, ctx.job_id, execution)
    return Done(attempt=ctx.attempt)


JOBS = [
    _job("faults.alpha", "alpha"),
    _job("faults.beta", "beta"),
    _job(
        "faults.limited",
        "alpha",
        limits=[
            Concurrency("faults.company", 1, by="empresa_id"),
            RateLimit("faults.all", 50, per=timedelta(seconds=1)),
        ],
    ),
    watchful,
    _job("faults.only", "alpha", duplicates=Unique(by=("number",))),
]


APART_JOBS = [_job("apart.work", "alpha", isolation="process")]


def _minutely(payload: Effect) -> list[Schedule]:
    """One that catches up all that it missed, and one that skips it."""
    often = Schedule(
        name=MINUTELY,
        job="faults.alpha",
        cron="* * * * *",
        payloads=lambda store: [payload],
        missed=MissedTick.RUN_ALL,
        missed_limit=1_000,
    )
    return [often, replace(often, name=OFTEN_SKIPPED, job="faults.beta", missed=MissedTick.SKIP)]


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return list(JOBS)

    @hookimpl
    def flowzz_schedules(self) -> list[Schedule]:
        """Hourly, two jobs a tick, all that was missed is caught up; nothing without a sink in the environment."""
        sink = os.environ.get(SINK_VARIABLE)
        if sink and os.environ.get(TICKING_VARIABLE):
            return _minutely(Effect(sink=sink))
        payloads = [Effect(sink=sink, number=number) for number in (1, 2)] if sink else []
        hourly = Schedule(
            name=SCHEDULE,
            job="faults.alpha",
            cron="0 * * * *",
            payloads=lambda store: payloads,
            missed=MissedTick.RUN_ALL,
        )
        return [hourly]


class ApartHooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return list(APART_JOBS)


plugin = Plugin(name="faults", title="Faults", api=">=1,<2", hooks=Hooks())
apart_plugin = Plugin(name="apart", title="Jobs with processes", api=">=1,<2", hooks=ApartHooks())
points.arm_children()

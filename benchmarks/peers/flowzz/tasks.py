"""The plugin under measurement: a job that does nothing and one that waits 20 ms, each for a thread and async."""

import os

import workload

from flowzz.app import Flowzz
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings

QUEUES = int(os.environ.get("BENCH_QUEUES", "1"))
"""More than one: the no-op has as many definitions, ``bench.noop_1`` and so on, each with a queue of its own."""


class Message(Payload):
    empresa_id: str
    to: str
    message: str
    sent_at: float


class Sent(Result):
    message_id: str
    status: str


def sent(ctx: JobContext) -> Sent:
    return Sent(message_id=ctx.job_id, status="sent")


def nothing(ctx: JobContext, data: Message) -> Sent:
    """Does nothing."""
    workload.started(data.sent_at)
    return sent(ctx)


noop = job("bench.noop", queue="bench")(nothing)


@job("bench.io", queue="bench")
def io(ctx: JobContext, data: Message) -> Sent:
    """Waits, as for an upstream."""
    workload.io({"sentAt": data.sent_at})
    return sent(ctx)


@job("bench.async_noop", queue="bench")
async def async_noop(ctx: JobContext, data: Message) -> Sent:
    """Does nothing, on the worker's event loop."""
    workload.started(data.sent_at)
    return sent(ctx)


@job("bench.async_io", queue="bench")
async def async_io(ctx: JobContext, data: Message) -> Sent:
    """Waits on the worker's event loop."""
    await workload.async_io({"sentAt": data.sent_at})
    return sent(ctx)


def noop_names() -> list[str]:
    return [f"bench.noop_{number}" for number in range(1, QUEUES + 1)]


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        if QUEUES == 1:
            return [noop, io, async_noop, async_io]
        return [job(name, queue=name.replace(".", "-"))(nothing) for name in noop_names()]


def opened(settings: Settings) -> Flowzz:
    plugin = Plugin(name="bench", title="Benchmark", api=">=1,<2", hooks=Hooks())
    return Flowzz.open(settings, plugins=PluginHost.of([plugin]))

"""The plugin under measurement: a job that does nothing and one that waits 20 ms, each for a thread and async."""

import workload

from flowzz.app import Flowzz
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings


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


@job("bench.noop", queue="bench")
def noop(ctx: JobContext, data: Message) -> Sent:
    """Does nothing."""
    workload.started(data.sent_at)
    return sent(ctx)


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


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [noop, io, async_noop, async_io]


def opened(settings: Settings) -> Flowzz:
    plugin = Plugin(name="bench", title="Benchmark", api=">=1,<2", hooks=Hooks())
    return Flowzz.open(settings, plugins=PluginHost.of([plugin]))

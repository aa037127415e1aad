"""A plugin for tests that does what none should: it starts a thread while it is imported."""

from __future__ import annotations

import os
import threading

from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl

threading.Thread(target=threading.Event().wait, name="busybody", daemon=True).start()


class Seen(Result):
    pid: int


@job("threaded.apart", queue="threaded", isolation="process")
def apart(ctx: JobContext, data: Payload) -> Seen:
    """In a process of its own."""
    return Seen(pid=os.getpid())


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [apart]


plugin = Plugin(name="threaded", title="Threaded", api=">=1,<2", hooks=Hooks())

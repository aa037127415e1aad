"""The no-op job of the benchmark: ``fill N`` enqueues, ``work`` runs a worker; ``plain`` is the same for stock RQ."""

from __future__ import annotations

import signal
import sys
from typing import Any

from flowzz import logs
from flowzz.app import Flowzz
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.workers import Worker


class Message(Payload):
    empresa_id: str
    to: str
    message: str


class Sent(Result):
    message_id: str
    status: str


@job("noop.send", queue="noop")
def send(ctx: JobContext, data: Message) -> Sent:
    """Does nothing."""
    return Sent(message_id=ctx.job_id, status="sent")


def plain(payload: dict[str, Any]) -> dict[str, str]:
    """The same for stock RQ."""
    return {"messageId": payload["to"], "status": "sent"}


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [send]


def main() -> int:
    settings = Settings.load()
    logs.configure(settings, "worker", console=False)
    payload = {"empresaId": "00000000-0000-4000-8000-000000000000", "to": "+5511999999999", "message": "x" * 100}
    plugin = Plugin(name="noop", title="No-op", api=">=1,<2", hooks=Hooks())
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as app:
        if sys.argv[1] == "fill":
            count = int(sys.argv[2])
            for start in range(0, count, 500):
                size = min(500, count - start)
                jobs = [app.prepare("noop.send", payload, EnqueueOptions()) for _ in range(size)]
                app.queues.transitions.enqueue(jobs)
            return 0
        worker = Worker(app)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        return worker.run()


if __name__ == "__main__":
    raise SystemExit(main())

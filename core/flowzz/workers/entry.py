"""The one callable that a job in Redis names. Our workers never import it from there; a stock ``rq worker`` calls it.

    rq worker --serializer json sync-coinzz

then runs our jobs too, in the environment it was started in, with RQ's own leases and RQ's own retries: as many as the
job has left, at once, none after Permanent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from flowzz.app import Flowzz
from flowzz.errors import FlowzzError, Permanent
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import result_as_json
from flowzz.jobs.payload import parse_payload
from flowzz.queues.stock import StockJob
from flowzz.settings import Settings


class StockReporter:
    """The ReporterPort of a job that a stock RQ worker runs: it reports, and is never told to stop."""

    stop_requested = False
    cancel_requested = False
    lease_lost = False

    def __init__(self, job: StockJob) -> None:
        self._job = job

    def report(
        self, *, progress: tuple[float, str] | None = None, log: Sequence[str] = (), checkpoint: Any = None
    ) -> None:
        self._job.annotate(self._job.attempt, progress, checkpoint, list(log))

    def recall(self) -> Mapping[str, str]:
        return self._job.recall()

    def remember(self, name: str, result: str) -> None:
        self._job.remember(name, result)


@cache
def _app() -> Flowzz:
    return Flowzz.open(Settings.load())


def run_job(job: str, payload: Any) -> Any:
    """Run the handler registered as ``job``; returns its result as plain JSON. Raises what the handler raises.

    Raises UnknownJob or InvalidPayload as enqueuing would, and FlowzzError outside an RQ worker.
    """
    app = _app()
    definition = app.plugins.job(job)
    data = parse_payload(job, definition.payload_model, payload)
    stock = StockJob.current(app.queues)
    if stock is None:
        raise FlowzzError("run_job runs inside an RQ worker; to run a job yourself, enqueue it")
    record = stock.record
    context = JobContext(
        job_id=record.id,
        job_name=job,
        queue=record.queue,
        company_id=record.company_id,
        attempt=stock.attempt,
        max_attempts=record.max_attempts,
        worker=record.worker or "rq",
        store=app.store,
        host=app,
        reporter=StockReporter(stock),
        restored=record.checkpoint,
    )
    try:
        return json.loads(result_as_json(definition.run(context, data)))
    except Permanent:
        stock.no_more_retries()
        raise

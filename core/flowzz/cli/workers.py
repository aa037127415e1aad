"""``flowzz workers``."""

from __future__ import annotations

import click

from flowzz.cli.output import ago, json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.queues.records import WorkerInfo

COLUMNS = ("worker", "host", "pid", "state", "active", "completed", "failed", "heartbeat", "queues")


@click.command("workers")
@json_option
@pass_session
def command(session: Session, as_json: bool) -> None:
    """List the workers that are alive; one that is `silent` completes no steps and connects anew."""
    with session.app() as app:
        workers = app.queues.workers()
    if as_json:
        print_json(workers)
    else:
        print_table(COLUMNS, [_row(worker) for worker in workers], empty="no worker runs; start one: flowzz worker")


def _row(worker: WorkerInfo) -> tuple[object, ...]:
    beat = ago(worker.last_heartbeat) if worker.last_heartbeat else ""
    active = f"{worker.active}/{worker.concurrency}"
    counts = (worker.completed, worker.failed)
    return (worker.name, worker.host, worker.pid, worker.state, active, *counts, beat, ", ".join(worker.queues))

"""``flowzz batches``."""

from __future__ import annotations

import click

from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session

COLUMNS = ("batch", "total", "pending", "completed", "failed", "canceled", "removed", "skipped", "finished", "callback")


@click.group("batches")
def command() -> None:
    """See how far a batch of jobs is."""


@command.command("show")
@click.argument("batch_id")
@json_option
@pass_session
def show(session: Session, batch_id: str, as_json: bool) -> None:
    """Show the counts of a batch, and the job that was enqueued when it finished."""
    with session.app() as app:
        found = app.queues.batch(batch_id)
    if as_json:
        print_json(found)
        return
    counts = (found.total, found.pending, found.completed, found.failed, found.canceled, found.removed, found.skipped)
    print_table(COLUMNS, [(found.id, *counts, found.finished_at or "", found.callback_id or "")], empty="")

"""``flowzz batches``."""

from __future__ import annotations

from typing import IO, Any

import click

from flowzz.cli.manifest import enqueued, lines_named, read_jobs, submission_of
from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.parameters import JSON_OBJECT
from flowzz.cli.session import Session, pass_session

COLUMNS = ("batch", "total", "pending", "completed", "failed", "canceled", "removed", "skipped", "finished", "callback")


@click.group("batches")
def command() -> None:
    """Enqueue jobs as one batch, and see how far it is."""


@command.command(
    "create",
    epilog="""\b
Examples:
  flowzz batches create jobs.ndjson --callback '{"job": "report.generate", "payload": {"empresaId": "…"}}'
  flowzz batches create - --id monday --nonce 1 < jobs.ndjson""",
)
@click.argument("file", type=click.File())
@click.option("--callback", type=JSON_OBJECT, help='Enqueued when all have ended: {"job": …, "payload": {…}}.')
@click.option("--on-failure", type=JSON_OBJECT, help="Enqueued in its place when one did not complete.")
@click.option("--id", "batch_id", help="Id of the batch: letters, digits, _ - (default: a new one).")
@click.option("--nonce", help="The same --id and --nonce again are the same batch.")
@json_option
@pass_session
def create(
    session: Session,
    file: IO[str],
    callback: dict[str, Any] | None,
    on_failure: dict[str, Any] | None,
    batch_id: str | None,
    nonce: str | None,
    as_json: bool,
) -> None:
    """Enqueue the 1 to 1,000 jobs of FILE together, all or none, and print the batch's id.

    FILE holds one JSON object a line, {"job": …, "payload": {…}, "options": {…}}; - is stdin.
    """
    if nonce is not None and batch_id is None:
        raise click.UsageError("--nonce needs --id, to which it belongs")
    jobs, numbers = read_jobs(file)
    ends = [
        None if given is None else submission_of(given, where=where)
        for given, where in ((callback, "--callback"), (on_failure, "--on-failure"))
    ]
    with session.app() as app, lines_named(numbers):
        made = app.batch(jobs, callback=ends[0], on_failure=ends[1], batch_id=batch_id, nonce=nonce)
    if as_json:
        print_json({"id": made.id, "jobs": enqueued(app, made.job_ids, jobs)})
    else:
        click.echo(made.id)


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

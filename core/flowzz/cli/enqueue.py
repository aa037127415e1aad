"""``flowzz enqueue``."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import IO, Any

import click

from flowzz.cli.output import in_words, json_option, print_json
from flowzz.cli.parameters import DURATION, JSON_OBJECT
from flowzz.cli.session import Session, pass_session
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState


@click.command(
    "enqueue",
    epilog="""\b
Examples:
  flowzz enqueue coinzz.sync_sales --data '{"empresaId": "…"}' --wait
  flowzz enqueue coinzz.sync_sales --data-file payload.json --delay 5m
  cat payload.json | flowzz enqueue coinzz.sync_sales --data-file -""",
)
@click.argument("job")
@click.option("--data", type=JSON_OBJECT, help="The payload, as a JSON object.")
@click.option("--data-file", type=click.File(), help="Read the payload from a file; - is stdin.")
@click.option("--delay", type=DURATION, help="Run no earlier than in this time: 90s, 5m, 1h30m.")
@click.option("--id", "job_id", help="Id of the job: letters, digits, _ - . (default: a new one).")
@click.option("--attempts", type=click.IntRange(1, 100), help="Runs in all (default: the job's own number).")
@click.option("--priority", type=click.IntRange(1, 10), help="1 runs first, 10 last (default: the job's own).")
@click.option("--wait", is_flag=True, help="Wait for its end; exit 1 unless it completes.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="How long --wait waits.")
@json_option
@pass_session
def command(
    session: Session,
    job: str,
    data: dict[str, Any] | None,
    data_file: IO[str] | None,
    delay: timedelta | None,
    job_id: str | None,
    attempts: int | None,
    priority: int | None,
    wait: bool,
    timeout: timedelta,
    as_json: bool,
) -> None:
    """Put JOB (plugin.job) into its queue and print its id."""
    options = EnqueueOptions(job_id=job_id, delay=delay, attempts=attempts, priority=priority)
    with session.app() as app:
        made = app.enqueue(job, _payload(data, data_file), options)
        if not wait:
            if as_json:
                print_json({"id": made, "job": job})
            else:
                click.echo(made)
            return
        record = app.queues.wait(made, timeout)
    if as_json:
        print_json(record)
    else:
        said = in_words(record.result) or (record.error.message if record.error else record.note or "")
        click.echo(f"{made} {record.state.value}" + (f": {said}" if said else ""))
    if record.state is not JobState.COMPLETED:
        raise click.exceptions.Exit(1)


def _payload(data: dict[str, Any] | None, data_file: IO[str] | None) -> dict[str, Any]:
    if data is not None and data_file is not None:
        raise click.UsageError("--data and --data-file exclude each other; give one of them")
    if data_file is None:
        return data or {}
    try:
        found = json.load(data_file)
    except ValueError as error:
        raise click.BadParameter(f"expected a JSON object ({error})", param_hint="--data-file") from None
    if not isinstance(found, dict):
        raise click.BadParameter("expected a JSON object", param_hint="--data-file")
    return found

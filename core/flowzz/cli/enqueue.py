"""``flowzz enqueue``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import IO, Any, get_args

import click

from flowzz.app import Flowzz
from flowzz.cli.output import in_words, json_option, print_json
from flowzz.cli.parameters import DURATION, JSON_OBJECT
from flowzz.cli.session import Session, pass_session
from flowzz.jobs.options import Enqueued, EnqueueOptions, ParentPolicy
from flowzz.jobs.state import JobState


@click.command(
    "enqueue",
    epilog="""\b
Examples:
  flowzz enqueue coinzz.sync_sales --data '{"empresaId": "…"}' --wait
  flowzz enqueue coinzz.sync_sales --data-file payload.json --delay 5m
  cat payload.json | flowzz enqueue coinzz.sync_sales --data-file -
  flowzz enqueue whatsapp.send_message --lines messages.ndjson --expires 1h""",
)
@click.argument("job")
@click.option("--data", type=JSON_OBJECT, help="The payload, as a JSON object.")
@click.option("--data-file", type=click.File(), help="Read the payload from a file; - is stdin.")
@click.option(
    "--lines", type=click.File(), help="One job a line: a file of payloads, one JSON object a line; - is stdin."
)
@click.option("--delay", type=DURATION, help="Run no earlier than in this time: 90s, 5m, 1h30m.")
@click.option("--id", "job_id", help="Id of the job: letters, digits, _ - (default: a new one).")
@click.option("--attempts", type=click.IntRange(1, 100), help="Runs in all (default: the job's own number).")
@click.option("--priority", type=click.IntRange(1, 10), help="1 runs first, 10 last (default: the job's own).")
@click.option("--unique-key", help="Nothing is enqueued while a job with this key is not done.")
@click.option("--expires", type=DURATION, help="Cancel it unless it starts within this time.")
@click.option("--depends-on", multiple=True, metavar="JOB_ID", help="Run once that job completed; may be given again.")
@click.option(
    "--on-parent-failure",
    type=click.Choice(get_args(ParentPolicy)),
    default="fail",
    show_default=True,
    help="When one of those fails: be canceled, run all the same, or wait until it is retried.",
)
@click.option("--wait", is_flag=True, help="Wait for its end; exit 1 unless it completes.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="How long --wait waits.")
@json_option
@pass_session
def command(
    session: Session,
    job: str,
    data: dict[str, Any] | None,
    data_file: IO[str] | None,
    lines: IO[str] | None,
    delay: timedelta | None,
    job_id: str | None,
    attempts: int | None,
    priority: int | None,
    unique_key: str | None,
    expires: timedelta | None,
    depends_on: tuple[str, ...],
    on_parent_failure: ParentPolicy,
    wait: bool,
    timeout: timedelta,
    as_json: bool,
) -> None:
    """Put JOB (plugin.job) into its queue and print its id, or that of the job that stands for it already."""
    options = EnqueueOptions(
        job_id=job_id,
        delay=delay,
        attempts=attempts,
        priority=priority,
        unique_key=unique_key,
        expires=expires,
        depends_on=depends_on,
        on_parent_failure=on_parent_failure,
    )
    if lines is not None:
        if data is not None or data_file is not None or job_id is not None or wait:
            raise click.UsageError("--lines excludes --data, --data-file, --id and --wait")
        payloads = _payloads(lines)
        with session.app() as app:
            _print_made(app, job, app.enqueue_many((job, payload, options) for payload in payloads), as_json)
        return
    with session.app() as app:
        done = app.submit(job, _payload(data, data_file), options)
        made = done.id
        if not wait:
            _print_made(app, job, [done], as_json)
            return
        record = app.queues.wait(made, timeout)
    if as_json:
        print_json(record)
    else:
        said = in_words(record.result) or (record.error.message if record.error else record.note or "")
        click.echo(f"{made} {record.state.value}" + (f": {said}" if said else ""))
    if record.state is not JobState.COMPLETED:
        raise click.exceptions.Exit(1)


def _print_made(app: Flowzz, job: str, made: Sequence[Enqueued], as_json: bool) -> None:
    """Ids on stdout, one a line; what was there already is told on stderr."""
    for done in made:
        if as_json:
            print_json({"id": done.id, "job": job, "queue": app.plugins.job(job).queue, "created": done.created})
            continue
        click.echo(done.id)
        if not done.created:
            click.echo(f"{done.id} was there already; nothing was enqueued", err=True)


def _payloads(lines: IO[str]) -> list[dict[str, Any]]:
    """One payload a line that is not blank; a line that cannot be read is named by its number."""
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            payload = json.loads(line)
        except ValueError as error:
            raise click.BadParameter(f"line {number}: expected a JSON object ({error})", param_hint="--lines") from None
        if not isinstance(payload, dict):
            raise click.BadParameter(f"line {number}: expected a JSON object", param_hint="--lines")
        found.append(payload)
    return found


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

"""``flowzz jobs``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import click

from flowzz.app import Flowzz
from flowzz.cli.output import ago, cell, console, in_words, json_option, print_json, print_table
from flowzz.cli.parameters import job_ids_argument, limit_option
from flowzz.cli.session import Session, pass_session
from flowzz.jobs.state import JobState
from flowzz.jobs.wire import as_wire
from flowzz.queues.quarantine import quarantine
from flowzz.queues.records import AttemptRecord, JobRecord, LogLine

COLUMNS = ("id", "job", "queue", "state", "attempts", "created", "result or error")


@click.group("jobs")
def command() -> None:
    """Look at jobs; explain, retry, cancel and remove them."""


@command.command("list", epilog="Example: flowzz jobs list --queue sync-coinzz --state failed")
@click.option("--queue", help="Only of this queue (default: all).")
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only in this state.")
@limit_option
@json_option
@pass_session
def list_jobs(session: Session, queue: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    states = [JobState(state)] if state else list(JobState)
    with session.app() as app:
        found = _newest(app, _queues(app, queue), states, limit)
    if as_json:
        print_json(found)
        return
    print_table(COLUMNS, [_row(record) for record in found], empty="no jobs")


@command.command("show")
@click.argument("job_id")
@json_option
@pass_session
def show(session: Session, job_id: str, as_json: bool) -> None:
    """Show everything known of a job: payload, result, attempts, error, log."""
    with session.app() as app:
        record = app.queues.job(job_id)
        attempts, log = app.queues.attempts(job_id), app.queues.log(job_id)
    if as_json:
        print_json({**as_wire(record), "attempts": attempts, "log": log})
        return
    _print_record(record, attempts, log)


@command.command("retry")
@job_ids_argument(required=True)
@pass_session
def retry(session: Session, job_ids: tuple[str, ...]) -> None:
    """Let failed, canceled, delayed, parked or deferred jobs wait again, with all their attempts."""
    for app, job_id in _each(session, job_ids):
        app.queues.retry(job_id)
        app.store.record_audit("cli", "job.retry", job_id)
        click.echo(f"{job_id} waits again")


@command.command("remove")
@job_ids_argument(required=True)
@pass_session
def remove(session: Session, job_ids: tuple[str, ...]) -> None:
    """Delete jobs that are not active, with their history."""
    for app, job_id in _each(session, job_ids):
        app.queues.remove(job_id)
        app.store.record_audit("cli", "job.remove", job_id)
        click.echo(f"{job_id} removed")


@command.command("explain")
@click.argument("job_id")
@json_option
@pass_session
def explain(session: Session, job_id: str, as_json: bool) -> None:
    """Say why a job is not running: paused by whom, limited by what, delayed until when, its place in the line."""
    with session.app() as app:
        told = app.queues.explain(job_id)
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told.job_id} is {told.state}: {told.sentence}")


@command.command("cancel")
@job_ids_argument(required=True)
@click.option("--reason", default="canceled on the command line", show_default=True, help="Kept with the job.")
@pass_session
def cancel(session: Session, job_ids: tuple[str, ...], reason: str) -> None:
    """Cancel jobs that have not ended: at once, or, while one runs, as soon as its handler looks."""
    for app, job_id in _each(session, job_ids):
        app.queues.cancel(job_id, reason)
        app.store.record_audit("cli", "job.cancel", job_id, {"reason": reason})
        running = app.queues.job(job_id).state is JobState.ACTIVE
        click.echo(f"{job_id} was told to stop" if running else f"{job_id} canceled")


@command.command("quarantined")
@json_option
@pass_session
def quarantined(session: Session, as_json: bool) -> None:
    """List what was found in a queue and is no readable job, the latest first."""
    with session.app() as app:
        found = quarantine(app.queues)
    if as_json:
        print_json(found)
        return
    rows = [(one.id, one.queue, one.at, one.reason) for one in found]
    print_table(("id", "queue", "found", "reason"), rows, empty="nothing is in quarantine")


def _each(session: Session, job_ids: Iterable[str]) -> Iterator[tuple[Flowzz, str]]:
    """The ids one after the other, with an open Flowzz; it stops at the first that is refused."""
    with session.app() as app:
        for job_id in job_ids:
            yield app, job_id


def _queues(app: Flowzz, wanted: str | None) -> list[str]:
    if wanted is None:
        return sorted({*app.plugins.queues, *app.queues.queue_names()})
    return [app.known_queue(wanted)]


def _newest(app: Flowzz, queues: list[str], states: list[JobState], limit: int) -> list[JobRecord]:
    found = [
        record for queue in queues for state in states for record in app.queues.jobs(queue, state, limit=limit).items
    ]
    return sorted(found, key=lambda record: record.created_at, reverse=True)[:limit]


def _row(record: JobRecord) -> tuple[object, ...]:
    said = record.error.message if record.error else in_words(record.result) or record.note or ""
    attempts = f"{record.attempts_made}/{record.max_attempts}"
    return (record.id, record.name, record.queue, record.state.value, attempts, record.created_at, _line(said))


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:99]}…"


def _print_record(record: JobRecord, attempts: list[AttemptRecord], log: list[LogLine]) -> None:
    out = console()
    facts = [
        ("id", record.id),
        ("job", record.name),
        ("queue", record.queue),
        ("state", record.state.value),
        ("company", record.company_id),
        ("attempts", f"{record.attempts_made} of {record.max_attempts}, lost its worker {record.stalled_count} times"),
        ("progress", f"{record.progress.percent:g} % {record.progress.note}" if record.progress else None),
        ("worker", record.worker),
        ("note", record.note),
        *[
            (name.removesuffix("_at"), getattr(record, name))
            for name in ("created_at", "due_at", "started_at", "ended_at")
        ],
        ("payload", json.dumps(record.payload, ensure_ascii=False)),
        ("result", None if record.result is None else json.dumps(record.result, ensure_ascii=False)),
    ]
    for name, value in facts:
        if value not in (None, ""):
            out.print(f"[bold]{name:<9}[/bold]", cell(value), soft_wrap=True)
    for attempt in attempts:
        said = attempt.error.message if attempt.error else attempt.note or ""
        out.print(
            f"run {attempt.attempt}    ", cell(f"{attempt.outcome}, {ago(attempt.ended_at)}  {said}"), soft_wrap=True
        )
    for line in log:
        out.print("log      ", cell(f"{line.at:%H:%M:%S} {line.message}"), soft_wrap=True)
    if record.error:
        out.print(cell(record.error.traceback or record.error.message), style="red", soft_wrap=True)

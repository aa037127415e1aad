"""``flowzz dead``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.parameters import PAST_MOMENT, job_ids_argument, limit_option
from flowzz.cli.session import Session, pass_session
from flowzz.queues.dead import DeadFilter, DeadLetters
from flowzz.queues.records import JobRecord

COLUMNS = ("id", "job", "queue", "company", "attempts", "died", "error")


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that make a DeadFilter."""
    for option in (
        click.option("--until", type=PAST_MOMENT, help="Died no later than then: ISO 8601, or how long ago (2h)."),
        click.option("--since", type=PAST_MOMENT, help="Died no earlier than then: ISO 8601, or how long ago (2h)."),
        click.option("--error", help="Type of the error, such as ValueError."),
        click.option("--company", help="A company, by id."),
        click.option("--job", help="A type of job: plugin.job."),
        click.option("--queue", help="A queue."),
    ):
        command = option(command)
    return command


def move_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``[JOB_ID]...``, the filter, ``--all`` and ``--json``: which dead jobs to move."""
    everything = click.option("--all", "everything", is_flag=True, help="All of them.")
    return job_ids_argument(required=False)(filter_options(everything(json_option(command))))


@click.group("dead")
def command() -> None:
    """Look at jobs that failed for good; replay or remove them."""


@command.command("list", epilog="Example: flowzz dead list --queue sync-coinzz --error Timeout --since 2h")
@filter_options
@limit_option
@json_option
@pass_session
def list_dead(session: Session, /, limit: int, as_json: bool, **given: Any) -> None:
    """List dead jobs, the latest death first."""
    with session.app() as app:
        page = DeadLetters(app.queues).page(DeadFilter(**given), limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(COLUMNS, [_row(record) for record in page.items], empty="no dead jobs")
    if page.total > len(page.items):
        click.echo(f"{page.total - len(page.items)} more")


@command.command("replay", epilog="Example: flowzz dead replay --job coinzz.sync_sales --since 2h")
@move_options
@pass_session
def replay(session: Session, /, **asked: Any) -> None:
    """Let dead jobs wait again with all their attempts; their history stays.

    Repeat it with the printed --until after a crash: no job runs twice.
    """
    _move(session, "replay", "replayed", **asked)


@command.command("remove", epilog="Example: flowzz dead remove --until 30d")
@move_options
@pass_session
def remove(session: Session, /, **asked: Any) -> None:
    """Delete dead jobs with their history."""
    _move(session, "remove", "removed", **asked)


def _move(
    session: Session,
    action: str,
    done: str,
    *,
    job_ids: tuple[str, ...],
    everything: bool,
    as_json: bool,
    **given: Any,
) -> None:
    only = DeadFilter(**given)
    if not (job_ids or everything) and only.is_empty:
        raise click.UsageError("say which: give JOB_IDs, an option such as --queue, or --all")
    with session.app() as app:
        letters = DeadLetters(app.queues)
        move = letters.replay if action == "replay" else letters.remove
        report = move(only, ids=job_ids or None)
        detail = {"ids": len(job_ids), "moved": report.moved}
        app.store.record_audit("cli", f"dead.{action}", only.queue or "", detail)
    if as_json:
        print_json(report)
        return
    bound = f" (--until {report.until.isoformat()})" if report.until else ""
    click.echo(f"{report.moved} of {report.matched} dead jobs {done}{bound}")


def _row(record: JobRecord) -> tuple[object, ...]:
    said = f"{record.error.type}: {record.error.message}" if record.error else ""
    line = " ".join(said.split())
    attempts = f"{record.attempts_made}/{record.max_attempts}"
    return (record.id, record.name, record.queue, record.company_id or "", attempts, record.ended_at, line[:100])

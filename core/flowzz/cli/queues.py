"""``flowzz queues``."""

from __future__ import annotations

import click

from flowzz.cli.output import duration, json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.queues.pauses import PauseKind
from flowzz.queues.records import QueueStats

COUNTS = ("waiting", "active", "delayed", "deferred", "completed", "failed", "parked", "workers")
COLUMNS = ("queue", *COUNTS, "oldest", "state")


@click.group("queues", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Look at queues, pause and resume them; alone it lists them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_queues, as_json=as_json)


@command.command("list")
@json_option
@pass_session
def list_queues(session: Session, as_json: bool) -> None:
    """List the queues with their counts."""
    with session.app() as app:
        stats = app.stats()
    if as_json:
        print_json(stats)
        return
    print_table(COLUMNS, [_row(queue) for queue in stats], empty="no queues: no plugin is loaded and Redis knows none")


@command.command("pause")
@click.argument("queue")
@click.option("--reason", default="paused on the command line", show_default=True, help="Shown wherever it is paused.")
@pass_session
def pause(session: Session, queue: str, reason: str) -> None:
    """Claim nothing more from QUEUE until it is resumed; what runs, finishes."""
    with session.app() as app:
        app.pause(PauseKind.QUEUE, queue, reason, by="cli")
        app.store.record_audit("cli", "queue.pause", queue, {"reason": reason})
    click.echo(f"{queue} is paused")


@command.command("resume")
@click.argument("queue")
@pass_session
def resume(session: Session, queue: str) -> None:
    """Let workers claim from QUEUE again."""
    with session.app() as app:
        app.queues.resume(app.known_queue(queue))
        app.store.record_audit("cli", "queue.resume", queue)
    click.echo(f"{queue} runs again")


def _row(queue: QueueStats) -> tuple[object, ...]:
    oldest = "" if queue.oldest_waiting_s is None else duration(queue.oldest_waiting_s)
    state = queue.problem or (f"paused: {queue.pause_reason}" if queue.is_paused else "")
    waiting = queue.waiting + queue.paused
    soon = (waiting, queue.active, queue.delayed, queue.deferred)
    return (queue.name, *soon, queue.completed, queue.failed, queue.parked, queue.workers, oldest, state)

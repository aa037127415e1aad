"""``flowzz limits``."""

from __future__ import annotations

from typing import Any

import click

from flowzz.cli.output import ago, json_option, print_json, print_table
from flowzz.cli.parameters import COUNT_OR_NONE, RATE_OR_NONE
from flowzz.cli.session import Session, pass_session
from flowzz.jobs.limits import Rate
from flowzz.limits import Lifted, Limits
from flowzz.queues.limiting import LimitStatus

COLUMNS = ("limit", "kind", "rule", "used", "free", "held", "waiting lanes", "edited")
BY = "cli"


@click.group(
    "limits",
    invoke_without_command=True,
    epilog="""\b
Examples:
  flowzz limits
  flowzz limits set sync-facebook --rate 10/60s --concurrency 4
  flowzz limits set --name whatsapp.number:5511999990000 --rate 20/1s
  flowzz limits clear sync-facebook
  flowzz limits revert sync-facebook""",
)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@json_option
@click.pass_context
def command(context: click.Context, limit: int, as_json: bool) -> None:
    """List the limits of queues and jobs, those that stop something first; or change one.

    An edit lies over what the plugin says, and counts until it is reverted.
    """
    if context.invoked_subcommand is not None:
        return
    session = context.find_object(Session)
    assert session is not None  # noqa: S101 - tells the type; the root command put it there
    with session.app() as app:
        page = app.queues.limits(limit=limit)
    if as_json:
        print_json(page)
    else:
        print_table(COLUMNS, [_row(status) for status in page.items], empty="nothing is limited")


def _target(command: Any) -> Any:
    """``[QUEUE] --name``: what an edit is about."""
    command = click.option("--name", help="A limit of jobs: its name, or name:value for one value.")(command)
    return click.argument("queue", required=False)(command)


@command.command("set")
@_target
@click.option("--rate", type=RATE_OR_NONE, help="Starts in any window, such as 10/60s; none lifts it.")
@click.option("--concurrency", type=COUNT_OR_NONE, help="Jobs at a time, across all workers; none lifts it.")
@pass_session
def edit(
    session: Session,
    queue: str | None,
    name: str | None,
    rate: Rate | Lifted | None,
    concurrency: int | Lifted | None,
) -> None:
    """Limit QUEUE, or give a limit of jobs another rule, from now on; what runs, finishes."""
    target = _one(queue, name)
    with session.app() as app:
        if queue is not None:
            Limits(app).set_queue(queue, BY, rate=rate, concurrency=concurrency)
        else:
            Limits(app).set(target, BY, rate=rate, concurrency=concurrency)
        detail = {"rate": _shown(rate), "concurrency": _shown(concurrency)}
        app.store.record_audit(BY, "limit.set", _subject(queue, target), detail)
    click.echo(f"{target} is limited anew; `flowzz limits revert` goes back to what its plugin says")


@command.command("clear")
@_target
@pass_session
def clear(session: Session, queue: str | None, name: str | None) -> None:
    """Lift the limits of QUEUE, or a limit of jobs, whatever the plugin says."""
    target = _one(queue, name)
    with session.app() as app:
        if queue is not None:
            Limits(app).set_queue(queue, BY, rate="none", concurrency="none")
        else:
            Limits(app).clear(target, BY)
        app.store.record_audit(BY, "limit.clear", _subject(queue, target))
    click.echo(f"{target} is not limited")


@command.command("revert")
@_target
@pass_session
def revert(session: Session, queue: str | None, name: str | None) -> None:
    """Go back to what the plugin says."""
    target = _one(queue, name)
    with session.app() as app:
        limits = Limits(app)
        changed = limits.revert_queue(queue, BY) if queue is not None else limits.revert(target, BY)
        app.store.record_audit(BY, "limit.revert", _subject(queue, target))
    click.echo(f"{target} is limited as its plugin says" if changed else f"{target} was not edited")


def _one(queue: str | None, name: str | None) -> str:
    if (queue is None) == (name is None):
        raise click.UsageError("give a QUEUE or a --name")
    return queue or name or ""


def _subject(queue: str | None, target: str) -> str:
    return target if queue is None else f"queue:{target}"


def _shown(rule: object) -> object:
    return f"{rule.count}/{rule.per.total_seconds():g}s" if isinstance(rule, Rate) else rule


def _row(status: LimitStatus) -> tuple[object, ...]:
    kind = f"{'queue, ' if status.queue else ''}{status.kind}"
    return (status.name, kind, _rule(status), status.used, status.free_at, status.held_until, status.waiting_lanes,
            _edited(status))  # fmt: skip


def _rule(status: LimitStatus) -> str:
    if status.count is None:
        return "lifted" if status.edited else "held only"
    return f"{status.count} at a time" if status.period_s is None else f"{status.count} in {status.period_s:g} s"


def _edited(status: LimitStatus) -> str:
    edit = status.edited
    if edit is None:
        return ""
    where = "" if edit.name == status.name else f" as {edit.name}"
    return f"by {edit.by} {ago(edit.at)}{where}; the plugin says {status.defined or 'no limit'}"

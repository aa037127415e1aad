"""``flowzz schedules``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.cli.output import ago, cell, console, json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.jobs.wire import as_wire
from flowzz.queues.schedules import FireOutcome, TickRecord
from flowzz.scheduling import Schedules, ScheduleView

COLUMNS = ("schedule", "job", "cron", "time zone", "next", "state")
BY = "cli"


@click.group("schedules")
def command() -> None:
    """Look at schedules; pause, edit, revert and run them. Schedulers see an edit within 5 s."""


@contextmanager
def _opened(session: Session) -> Iterator[tuple[Flowzz, Schedules]]:
    with session.app() as app:
        yield app, Schedules(app)


@command.command("list")
@json_option
@pass_session
def list_schedules(session: Session, as_json: bool) -> None:
    """List the schedules with their next ticks."""
    with _opened(session) as (_, schedules):
        views = [one.view(clock.now()) for one in schedules.all()]
    if as_json:
        print_json(views)
    else:
        print_table(COLUMNS, [_row(view) for view in views], empty="no loaded plugin brings a schedule")


@command.command("show")
@click.argument("name")
@click.option("--ticks", "limit", type=click.IntRange(1, 100), default=10, show_default=True, help="So many ticks.")
@json_option
@pass_session
def show(session: Session, name: str, limit: int, as_json: bool) -> None:
    """Show one schedule: its line, what was edited by whom, its next and last ticks."""
    with _opened(session) as (app, schedules):
        view, ticks = schedules.get(name).view(clock.now()), app.queues.ticks(name, limit)
    if as_json:
        print_json({**as_wire(view), "ticks": ticks})
    else:
        _print(view, ticks)


@command.command("pause")
@click.argument("name")
@click.option("--reason", default="paused on the command line", show_default=True, help="Shown wherever it is paused.")
@pass_session
def pause(session: Session, name: str, reason: str) -> None:
    """Fire no tick of NAME until it is resumed; those that pass meanwhile are not caught up."""
    with _opened(session) as (app, schedules):
        schedules.pause(name, reason, BY)
        app.store.record_audit(BY, "schedule.pause", name, {"reason": reason})
    click.echo(f"{name} is paused")


@command.command("resume")
@click.argument("name")
@pass_session
def resume(session: Session, name: str) -> None:
    """Tick again, from now on."""
    with _opened(session) as (app, schedules):
        resumed = schedules.resume(name, BY)
        app.store.record_audit(BY, "schedule.resume", name)
    click.echo(f"{name} ticks again" if resumed else f"{name} was not paused")


@command.command("set", epilog="Example: flowzz schedules set coinzz.sync_sales --cron '*/30 * * * *'")
@click.argument("name")
@click.option("--cron", help="Another line: minute hour day month weekday.")
@click.option("--timezone", help="Another IANA time zone, such as America/Sao_Paulo.")
@pass_session
def edit(session: Session, name: str, cron: str | None, timezone: str | None) -> None:
    """Give NAME another cron line or time zone, from now on, over what its plugin says."""
    with _opened(session) as (app, schedules):
        schedules.set(name, BY, cron=cron, timezone=timezone)
        app.store.record_audit(BY, "schedule.set", name, {"cron": cron, "timezone": timezone})
        _print(schedules.get(name).view(clock.now()), [])


@command.command("revert")
@click.argument("name")
@pass_session
def revert(session: Session, name: str) -> None:
    """Go back to what the plugin says, not paused, from now on."""
    with _opened(session) as (app, schedules):
        changed = schedules.revert(name, BY)
        app.store.record_audit(BY, "schedule.revert", name)
    click.echo(f"{name} is as its plugin says" if changed else f"{name} was not edited")


@command.command("run")
@click.argument("name")
@json_option
@pass_session
def run(session: Session, name: str, as_json: bool) -> None:
    """Enqueue the jobs of NAME now, paused or not; its ticks come as before."""
    with _opened(session) as (app, schedules):
        reply = schedules.run(name, BY)
        app.store.record_audit(BY, "schedule.run", name, {"jobs": reply.jobs})
    if as_json:
        print_json({"schedule": name, "ran": reply.outcome is FireOutcome.FIRED, "jobs": reply.jobs})
    else:
        click.echo(f"{name}: {reply.jobs} jobs enqueued")


def _row(view: ScheduleView) -> tuple[object, ...]:
    return (view.name, view.job, view.cron, view.timezone, view.next_at, _state(view))


def _state(view: ScheduleView) -> str:
    said = [f"paused by {view.paused.by}: {view.paused.reason}"] if view.paused else []
    if view.edited:
        said.append(f"edited by {view.edited.by}")
    return ", ".join(said)


def _print(view: ScheduleView, ticks: list[TickRecord]) -> None:
    out = console()
    policies = f"missed {view.missed} (at most {view.missed_limit}), overlap {view.overlap}, spread {view.spread_s:g} s"
    facts = [
        ("schedule", view.name),
        ("job", view.job),
        ("line", f"{view.cron}  {view.timezone}"),
        ("policies", policies),
        ("next", view.next_at),
        ("paused", f"{ago(view.paused.at)} by {view.paused.by}: {view.paused.reason}" if view.paused else None),
        ("edited", f"{ago(view.edited.at)} by {view.edited.by}" if view.edited else None),
    ]
    for name, value in facts:
        if value is not None:
            out.print(f"[bold]{name:<9}[/bold]", cell(value), soft_wrap=True)
    for change in view.differences:
        earlier = f", was {change.was} then" if change.was else ""
        said = f"{change.field}: {change.edited} (the plugin says {change.defined}{earlier})"
        out.print("         ", cell(said), soft_wrap=True)
    for tick in ticks:
        by = f" by {tick.by}" if tick.by else ""
        said = f"{tick.tick:%Y-%m-%d %H:%M:%S} UTC {tick.how}{by}, {tick.jobs} jobs, {ago(tick.fired_at)}"
        out.print("tick     ", cell(said), soft_wrap=True)

"""``flowzz plugins``: answers with every plugin broken, and without Redis or a database."""

from __future__ import annotations

import click

from flowzz.cli.output import cell, console, json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.errors import NotFound, nearest
from flowzz.plugins.states import PluginRecord


@click.group("plugins")
def command() -> None:
    """See which plugins are loaded, and why one is not."""


@command.command("list")
@json_option
@pass_session
def list_plugins(session: Session, as_json: bool) -> None:
    """List the installed plugins."""
    records = session.plugins.records
    if as_json:
        print_json(records)
        return
    print_table(
        ("plugin", "title", "distribution", "version", "state", "jobs", "why"),
        [_row(record) for record in records],
        empty="no plugin is installed: pip install flowzz-coinzz, for example",
    )


@command.command("show")
@click.argument("name")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show one plugin: its jobs, its schedules, and the traceback when it is broken."""
    records = {record.name: record for record in session.plugins.records}
    if name not in records:
        close = nearest(name, records)
        hint = f"; did you mean {close!r}?" if close else ""
        raise NotFound(f"no plugin is named {name!r}{hint}")
    record = records[name]
    if as_json:
        print_json(record)
        return
    out = console()
    facts = [("plugin", record.name), ("title", record.title), ("state", record.state.value)]
    facts += [("from", f"{record.distribution} {record.version}")]
    facts += [("thread", f"{name} (started while it was imported)") for name in record.threads]
    facts += [("job", job) for job in record.jobs] + [("schedule", schedule) for schedule in record.schedules]
    for fact, value in facts:
        out.print(f"[bold]{fact:<9}[/bold]", cell(value), soft_wrap=True)
    if record.problem:
        out.print(cell(record.problem), style="red", soft_wrap=True)


def _row(record: PluginRecord) -> tuple[object, ...]:
    why = record.problem.strip().splitlines()[-1] if record.problem else ""
    if record.threads and not why:
        why = f"starts threads while it is imported: {', '.join(record.threads)}"
    version = record.version
    return (record.name, record.title, record.distribution, version, record.state.value, len(record.jobs), why)

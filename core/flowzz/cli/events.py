"""``flowzz events``."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from flowzz.cli.output import json_option
from flowzz.cli.session import Session, pass_session
from flowzz.jobs.wire import as_wire
from flowzz.queues.events import BEGINNING, GAP, MOST, Event

FOR_EVER = timedelta(days=3650)
GONE = "events after {} are no longer kept; the oldest that is comes next: {}"


@click.command("events", epilog="Example: flowzz events --follow --json | jq 'select(.name == \"failed\")'")
@click.option("--since", metavar="ID", help="Those after this event; 0 is the oldest kept (default: the newest).")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="At most so many.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until interrupted.")
@json_option
@pass_session
def command(session: Session, since: str | None, limit: int, follow: bool, as_json: bool) -> None:
    """Show every transition of jobs, queues and schedules, oldest first; with --json one document a line.

    When events after --since are no longer kept, stderr says so.
    """
    with session.app() as app:
        last = since or BEGINNING
        page = app.queues.events_page(since, limit)
        if page.gap:
            click.echo(GONE.format(since, page.items[0].id), err=True)
        for event in page.items:
            _print(event, as_json=as_json)
            last = event.id
        if follow:
            for event in app.queues.events(last, FOR_EVER):
                if event.name == GAP:
                    click.echo(GONE.format(event.id, event.subject), err=True)
                else:
                    _print(event, as_json=as_json)


def _print(event: Event, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(as_wire(event), ensure_ascii=False))
        return
    said = " ".join(part for part in (event.queue, event.subject, event.detail) if part)
    click.echo(f"{event.id}  {event.at:%H:%M:%S}.{event.at.microsecond // 1000:03}  {event.name:<12} {said}")

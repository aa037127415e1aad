"""``flowzz limits``."""

from __future__ import annotations

import click

from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.queues.limiting import LimitStatus

COLUMNS = ("limit", "rule", "used", "free", "held", "waiting lanes")


@click.command("limits")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@json_option
@pass_session
def command(session: Session, limit: int, as_json: bool) -> None:
    """List the limits that jobs are under: those that stop something first."""
    with session.app() as app:
        page = app.queues.limits(limit=limit)
    if as_json:
        print_json(page)
    else:
        print_table(COLUMNS, [_row(status) for status in page.items], empty="no job was ever under a limit")


def _row(status: LimitStatus) -> tuple[object, ...]:
    if status.count is None:
        rule = "held only"
    elif status.period_s is None:
        rule = f"{status.count} at a time"
    else:
        rule = f"{status.count} in {status.period_s:g} s"
    return (status.name, rule, status.used, status.free_at, status.held_until, status.waiting_lanes)

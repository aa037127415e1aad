"""``flowzz pause``."""

from __future__ import annotations

from datetime import datetime

import click

from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.parameters import MOMENT, one_target, target_options
from flowzz.cli.session import Session, pass_session
from flowzz.queues.pauses import PauseKind

COLUMNS = ("kind", "name", "until", "by", "reason")
BY = "cli"


@click.command(
    "pause",
    epilog="""\b
Examples:
  flowzz pause                                   what is paused
  flowzz pause sync-coinzz --until 2h
  flowzz pause --company loja-1 --reason "disputed invoice"
  flowzz pause --job whatsapp.send_message --until 2026-12-01T08:00-03:00""",
)
@target_options
@click.option("--reason", default="paused on the command line", show_default=True, help="Shown wherever it is paused.")
@click.option("--until", type=MOMENT, help="It ends by itself then: a moment, or a time from now (2h).")
@json_option
@pass_session
def command(
    session: Session,
    queue: str | None,
    job: str | None,
    company: str | None,
    reason: str,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Hold back QUEUE, a type of job or a company until it is resumed; what runs, finishes. Alone, list the pauses."""
    wanted = one_target(queue, job, company)
    with session.app() as app:
        if wanted is not None:
            app.pause(*wanted, reason, until=until, by=BY)
            detail = {"reason": reason, "until": until.isoformat() if until else None}
            app.store.record_audit(BY, f"{wanted[0].value}.pause", wanted[1], detail)
        pauses = [pause for pause in app.queues.pauses() if wanted in (None, (pause.kind, pause.name))]
    if as_json:
        print_json(pauses)
    elif wanted is None:
        rows = [(pause.kind.value, pause.name, pause.until, pause.by, pause.reason) for pause in pauses]
        print_table(COLUMNS, rows, empty="nothing is paused")
    else:
        click.echo(f"{said(*wanted)} is paused")


def said(kind: PauseKind, name: str) -> str:
    return name if kind is PauseKind.QUEUE else f"{kind.value} {name}"

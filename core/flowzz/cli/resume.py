"""``flowzz resume``."""

from __future__ import annotations

import click

from flowzz.cli.parameters import one_target, target_options
from flowzz.cli.pause import said
from flowzz.cli.session import Session, pass_session


@click.command("resume")
@target_options
@pass_session
def command(session: Session, queue: str | None, job: str | None, company: str | None) -> None:
    """Let QUEUE, a type of job or a company run again; exits 1 when it was not paused."""
    wanted = one_target(queue, job, company)
    if wanted is None:
        raise click.UsageError("name a queue, or give --job or --company")
    with session.app() as app:
        resumed = app.queues.resume_any(*wanted)
        app.store.record_audit("cli", f"{wanted[0].value}.resume", wanted[1])
    if not resumed:
        raise click.ClickException(f"{said(*wanted)} was not paused; `flowzz pause` lists what is")
    click.echo(f"{said(*wanted)} runs again")

"""``flowzz scheduler``."""

from __future__ import annotations

import click

from flowzz.cli.session import Session, pass_session
from flowzz.scheduling import Scheduler
from flowzz.supervision.signals import stopping_by


@click.command("scheduler")
@pass_session
def command(session: Session) -> None:
    """Fire the schedules until told to stop; any number may run, each tick fires once."""
    with session.app("scheduler", console=True) as app:
        scheduler = Scheduler(app)
        with stopping_by(scheduler.stop):
            code = scheduler.run()
    raise click.exceptions.Exit(code)

"""``flowzz scheduler``."""

from __future__ import annotations

import click

from flowzz.cli.session import Session, pass_session
from flowzz.cli.stopping import stop_on_signals
from flowzz.scheduling import Scheduler


@click.command("scheduler")
@pass_session
def command(session: Session) -> None:
    """Fire the schedules until told to stop; any number may run, each tick fires once."""
    with session.app("scheduler", console=True) as app:
        scheduler = Scheduler(app)
        with stop_on_signals(scheduler.stop):
            code = scheduler.run()
    raise click.exceptions.Exit(code)

"""``flowzz migrate``."""

from __future__ import annotations

import click

from flowzz.cli.output import json_option, print_json
from flowzz.cli.session import Session, pass_session


@click.command("migrate")
@json_option
@pass_session
def command(session: Session, as_json: bool) -> None:
    """Bring the database's tables up to date: the core's, then each plugin's. `flowzz up` does it by itself."""
    with session.store() as store:
        ran = store.migrate(session.plugins.migrations)
    if as_json:
        print_json({"ran": ran})
        return
    for name in ran:
        click.echo(f"ran {name}")
    if not ran:
        click.echo("the database is up to date")

"""``flowzz demo``."""

from __future__ import annotations

import sys

import click
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from flowzz.cli.backend import Backend
from flowzz.cli.demonstration import Demonstration, Row, demo_login
from flowzz.cli.output import console, duration, in_words, print_json, table
from flowzz.cli.session import Session, pass_session
from flowzz.cli.standing import Login, Plan, Standing, standing, wait_until_it_answers
from flowzz.errors import ConfigurationError

COLUMNS = ("job", "status", "result", "took")


@click.command("demo", epilog="Example: flowzz demo --once --json | jq .jobs")
@click.option("--once", is_flag=True, help="Stop afterwards; exit 0 only if every job completed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the logs go to stderr.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the web; 0 takes a free one.  [default: 3000]")
@pass_session
def command(session: Session, once: bool, as_json: bool, port: int | None) -> None:
    """Start everything with a sandbox and a demo company, run each plugin's jobs once and show how they went.

    It keeps what it needs in FLOWZZ_HOME (default: ./data) and can be run as often as you like.
    """
    session.quiet = session.quiet or (sys.stderr.isatty() and not as_json)
    session.log_as("demo", console=True)
    if not session.plugins.sandboxes:
        raise ConfigurationError(
            "no loaded plugin has a sandbox to show; install one (pip install flowzz-coinzz), "
            "or see `flowzz plugins list`"
        )
    if not as_json:
        click.echo("Starting Flowzz with a sandbox …")
    with standing(session, Plan(port=port, sandbox=True), "demo") as here:
        code = here.tree().run(lambda: _show(session, here, once=once, as_json=as_json))
    raise click.exceptions.Exit(code)


def _show(session: Session, here: Standing, *, once: bool, as_json: bool) -> int | None:
    login = demo_login(here)
    wait_until_it_answers(here.loopback_url, "/health/queues")
    wait_until_it_answers(here.sandbox_url, "/")
    demonstration = Demonstration(here, session.plugins, Backend(here.loopback_url, login), login)
    if as_json:
        rows = demonstration.run(lambda _rows: None)
        _print_json(here, login, rows, once=once)
    else:
        with Live(console=console(), refresh_per_second=8, transient=True) as live:
            rows = demonstration.run(lambda rows: live.update(_table(rows)))
        _print(here, login, rows, once=once)
    good = all(row.succeeded for row in rows)
    return (0 if good else 1) if once else None


def _table(rows: list[Row]) -> Table:
    shown = []
    for row in rows:
        took = duration(row.duration_ms / 1000) if row.duration_ms is not None else ""
        shown.append((row.job, row.status, row.error or in_words(row.result) or row.note, took))
    return table(COLUMNS, shown)


def _print(here: Standing, login: Login, rows: list[Row], *, once: bool) -> None:
    out = console()
    out.print(_table(rows))
    if once:
        return
    password = login.password.get_secret_value()
    text = (
        f"{here.settings.web_url}/admin/queues\n\ne-mail    {login.email}\npassword  {password}\n\n"
        f"sandbox   {here.sandbox_url}\nlogs      {here.settings.data_folder / 'logs'}"
    )
    out.print(Panel(text, title="Flowzz is up", expand=False, border_style="green", padding=(0, 2)), soft_wrap=True)
    out.print("Stop it with Ctrl-C.")


def _print_json(here: Standing, login: Login, rows: list[Row], *, once: bool) -> None:
    document = {
        "jobs": [row.as_json() for row in rows],
        "url": here.settings.web_url,
        "sandboxUrl": here.sandbox_url,
        "login": {"email": login.email} | ({} if once else {"password": login.password.get_secret_value()}),
    }
    print_json(document)

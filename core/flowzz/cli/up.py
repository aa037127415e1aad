"""``flowzz up``."""

from __future__ import annotations

import click
from rich.panel import Panel

from flowzz.cli.output import console
from flowzz.cli.session import Session, pass_session
from flowzz.cli.standing import Plan, Standing, standing, wait_until_it_answers


@click.command(
    "up",
    epilog="""\b
Examples:
  flowzz up
  flowzz up --port 8080 --workers 4
  flowzz up --sandbox""",
)
@click.option("--sandbox", is_flag=True, help="Also play the plugins' upstreams, on a port of their own.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the web; 0 takes a free one.  [default: 3000]")
@click.option("--host", help="Address the web listens on.  [default: 127.0.0.1]")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--sandbox-port", type=click.IntRange(0, 65535), default=4800, show_default=True)
@pass_session
def command(
    session: Session, sandbox: bool, port: int | None, host: str | None, workers: int, sandbox_port: int
) -> None:
    """Start everything: Valkey when no Redis is configured, web, workers and scheduler; migrations run first.

    SIGTERM or Ctrl-C stops in order and lets active jobs finish (FLOWZZ_SHUTDOWN_GRACE, 30 s); a second one forces it.
    """
    plan = Plan(host=host, port=port, workers=workers, sandbox=sandbox, sandbox_port=sandbox_port)
    with standing(session, plan, "up") as here:
        _tell_first_login(here)
        code = here.tree().run(lambda: _announce(here))
    raise click.exceptions.Exit(code)


def _tell_first_login(here: Standing) -> None:
    """On the terminal only: the one place where the password ever appears."""
    if here.first_admin is None:
        return
    email, password = here.first_admin.email, here.first_admin.password.get_secret_value()
    given = here.settings.admin_password is not None
    shown = "(as in FLOWZZ_ADMIN_PASSWORD)" if given else f"{password}   (shown this once)"
    text = f"The first admin was made.\n\ne-mail    {email}\npassword  {shown}"
    console().print(Panel(text, expand=False, border_style="green", padding=(0, 2)), soft_wrap=True)


def _announce(here: Standing) -> None:
    wait_until_it_answers(here.loopback_url, "/health/queues")
    lines = [f"Flowzz is up: {here.settings.web_url}/admin/queues"]
    if here.sandbox_url:
        lines.append(f"Sandbox: {here.sandbox_url}")
    click.echo("\n".join([*lines, "Stop it with Ctrl-C."]))

"""``flowzz sandbox``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from flowzz.cli.server import Server, listener_of
from flowzz.cli.session import Session, pass_session
from flowzz.supervision.spawning import listen
from flowzz_web import create_sandbox

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@click.command("sandbox")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=4800, show_default=True, help="Port to listen on.")
@click.option("--fd", type=int, hidden=True, help="Listening socket handed down by `flowzz up`.")
@pass_session
def command(session: Session, host: str, port: int, fd: int | None) -> None:
    """Play the plugins' upstreams, each under /PLUGIN; needs neither Redis nor a database."""
    session.log_as("sandbox", console=True)

    def make(_resources: ExitStack) -> WSGIApplication:
        return create_sandbox(session.plugins)

    Server(listener_of(fd, host, port, listen), make).run()

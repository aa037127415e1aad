"""``flowzz web``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from flowzz.app import Flowzz
from flowzz.cli.server import Server, listener_of
from flowzz.cli.session import Session, pass_session
from flowzz.supervision.spawning import listen
from flowzz_web import create_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@click.command("web")
@click.option("--host", help="Address to listen on.  [env: FLOWZZ_HOST; default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.  [env: PORT; default: 3000]")
@click.option("--fd", type=int, hidden=True, help="Listening socket handed down by `flowzz up`.")
@pass_session
def command(session: Session, host: str | None, port: int | None, fd: int | None) -> None:
    """Serve the admin, the API, health and the webhooks."""
    settings = session.settings
    session.log_as("web", console=True)
    session.require_redis()
    listener = listener_of(fd, host or settings.host, settings.port if port is None else port, listen)

    def make(resources: ExitStack) -> WSGIApplication:
        app = resources.enter_context(Flowzz.open(settings, plugins=session.plugins))
        return create_app(app)

    Server(listener, make).run()

"""``flowzz worker``."""

from __future__ import annotations

import click

from flowzz.cli.session import Session, pass_session
from flowzz.supervision.signals import stopping_by
from flowzz.workers import Worker


@click.command("worker", epilog="Example: flowzz worker --queues sync-coinzz,whatsapp --concurrency 20")
@click.option("--queues", help="Queues to serve, separated by commas.  [env: FLOWZZ_QUEUES; default: all]")
@click.option("--concurrency", type=click.IntRange(1, 1000), help="Jobs at the same time.  [env: FLOWZZ_CONCURRENCY]")
@click.option("--name", help="Its name in the admin and in `rq info` (default: host, pid and a random part).")
@pass_session
def command(session: Session, queues: str | None, concurrency: int | None, name: str | None) -> None:
    """Run jobs until told to stop: SIGTERM lets active jobs finish, a second one hands them back at once."""
    wanted = [queue.strip() for queue in queues.split(",") if queue.strip()] if queues else None
    with session.app("worker", console=True) as app:
        worker = Worker(app, name=name, queues=wanted, concurrency=concurrency)
        with stopping_by(worker.stop):
            code = worker.run()
    raise click.exceptions.Exit(code)

"""``flowzz worker``."""

from __future__ import annotations

import os

import click

from flowzz.cli.session import Session, pass_session
from flowzz.supervision import Program, Tree
from flowzz.supervision.program import FLOWZZ
from flowzz.supervision.signals import stopping_by
from flowzz.workers import Worker
from flowzz.workers.ending import REPLACE_ME, Limits, leave

SPARE_S = 5.0
"""Seconds beyond its own limit before a worker that should have ended by itself is killed."""
MEGABYTE = 1_000_000


@click.command(
    "worker",
    epilog="""\b
Examples:
  flowzz worker --queues sync-coinzz,whatsapp --concurrency 20
  flowzz worker --processes 4 --max-jobs 10000 --max-memory 500
  flowzz worker --burst""",
)
@click.option("--queues", help="Queues to serve, separated by commas.  [env: FLOWZZ_QUEUES; default: all]")
@click.option("--concurrency", type=click.IntRange(1, 1000), help="Jobs at the same time.  [env: FLOWZZ_CONCURRENCY]")
@click.option("--name", help="Its name in the admin and in `rq info` (default: host, pid and a random part).")
@click.option("--processes", type=click.IntRange(1, 64), help="Supervise so many workers and replace those that end.")
@click.option("--max-jobs", type=click.IntRange(1), help="Be replaced after so many jobs (see --processes).")
@click.option("--max-memory", type=click.IntRange(1), metavar="MB", help="Be replaced when it takes more memory.")
@click.option("--burst", is_flag=True, help="Exit 0 as soon as no job may run.")
@pass_session
def command(
    session: Session,
    queues: str | None,
    concurrency: int | None,
    name: str | None,
    processes: int | None,
    max_jobs: int | None,
    max_memory: int | None,
    burst: bool,
) -> None:
    """Run jobs until told to stop: SIGTERM lets active jobs finish, a second one hands them back at once.

    SIGUSR1, and SIGHUP where there is no terminal, restarts: workers finish what they have, one after the other, and
    others take their place. A single worker then exits 75 for whoever supervises it.
    """
    if processes is not None:
        given = {"queues": queues, "concurrency": concurrency, "max-jobs": max_jobs, "max-memory": max_memory}
        options = [word for option, value in given.items() if value is not None for word in (f"--{option}", str(value))]
        raise click.exceptions.Exit(_supervise(session, processes, name, [*options, *(["--burst"] if burst else [])]))
    wanted = [queue.strip() for queue in queues.split(",") if queue.strip()] if queues else None
    limits = Limits(max_jobs=max_jobs, max_memory=max_memory and max_memory * MEGABYTE, burst=burst)
    with session.app("worker", console=True) as app:
        worker = Worker(app, name=name, queues=wanted, concurrency=concurrency, limits=limits)
        with stopping_by(worker.stop, restart=lambda: worker.replace("it was asked to restart")):
            code = worker.run()
    if code == REPLACE_ME:
        leave(code)
    raise click.exceptions.Exit(code)


def _supervise(session: Session, processes: int, name: str | None, options: list[str]) -> int:
    """A tree of workers; checks first what would fail in each of them alike."""
    session.require_redis()
    session.log_as("workers", console=True)
    workers = [
        Program(
            f"worker-{number}",
            [*FLOWZZ, *(["--quiet"] if session.quiet else []), "worker", *options, *_named(name, number)],
            goodbye="worker claims no more and finishes its active jobs",
            grace_s=session.settings.shutdown_grace + SPARE_S,
            restarts=True,
            may_end="--burst" in options,
        )
        for number in range(1, processes + 1)
    ]
    return Tree([workers], rolls=True).run()


def _named(name: str | None, number: int) -> list[str]:
    return ["--name", f"{name}-{number}-{os.getpid()}"] if name else []

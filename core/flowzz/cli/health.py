"""``flowzz health``: answers without Redis, and with every plugin broken."""

from __future__ import annotations

from collections import Counter

import click

from flowzz.app import Flowzz
from flowzz.cli.output import cell, console, json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.errors import QueueUnavailable
from flowzz.health import HealthReport
from flowzz.jobs.missing import distribution_of
from flowzz.jobs.state import JobState
from flowzz.supervision import bundled

LOOKED_AT = 100
NOBODY = "redis://127.0.0.1:1/0"
"""An address where nothing answers: what a home without a running Redis is asked at."""


@click.command("health")
@json_option
@pass_session
def command(session: Session, as_json: bool) -> None:
    """Tell whether the queues are healthy: exit 0 when all are, else 1. The JSON is that of GET /health/queues."""
    settings = session.settings
    session.log_as("cli")
    absent = settings.uses_bundled_redis and not bundled.is_running(settings)
    with Flowzz.open(settings, plugins=session.plugins, redis_url=NOBODY if absent else None) as app:
        report = app.health()
        problems = _problems(app) if report["redis"]["connected"] and not as_json else []
    if as_json:
        print_json(report)
    else:
        _print(report)
    for problem in problems:
        click.echo(f"Warning: {problem}", err=True)
    if report["status"] != "healthy":
        raise click.exceptions.Exit(1)


def _problems(app: Flowzz) -> list[str]:
    """What Redis may lose, what it lost during the last day, and which plugin jobs wait for."""
    try:
        found = [app.queues.memory_problem(), app.queues.data_loss(), *_parked(app)]
    except QueueUnavailable:
        return []
    return [problem for problem in found if problem]


def _parked(app: Flowzz) -> list[str]:
    """How many jobs wait for which distribution to be installed, by a look at the first hundred of each queue."""
    waiting: Counter[str] = Counter()
    for queue in app.stats():
        if queue.parked:
            page = app.queues.jobs(queue.name, JobState.PARKED, limit=LOOKED_AT)
            waiting.update(distribution_of(job.name) for job in page.items)
    return [f"{count} parked jobs wait for {name} to be installed" for name, count in sorted(waiting.items())]


def _print(report: HealthReport) -> None:
    connected = "connected" if report["redis"]["connected"] else "not connected"
    console().print(cell(report["status"]), f"(Redis {connected})")
    columns = ("queue", "state", "waiting", "active", "completed", "failed", "delayed", "paused")
    rows = [
        (queue["name"], "healthy" if queue["healthy"] else "unhealthy", *queue["stats"].values())
        for queue in report["queues"]
    ]
    print_table(columns, rows, empty="no queues")

"""``flowzz health``: answers without Redis, and with every plugin broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.cli.output import cell, console, duration, json_option, print_json, print_table
from flowzz.cli.session import Session, database_errors, pass_session
from flowzz.errors import ConfigurationError, QueueUnavailable
from flowzz.health import HealthReport
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.missing import distribution_of
from flowzz.jobs.state import JobState
from flowzz.scheduling.scheduler import SKEW
from flowzz.supervision import bundled

LOOKED_AT = 100
CONNECTIONS_TOLD = 20
LONGEST_REASON = 200
NOBODY = "redis://127.0.0.1:1/0"
"""An address where nothing answers: what a home without a running Redis is asked at."""

Held = Sequence[tuple[Connection, str]]
"""Connections that are not active, and what their companies are called."""


@click.command("health")
@json_option
@pass_session
def command(session: Session, as_json: bool) -> None:
    """Tell whether the queues are healthy: exit 0 when all are, else 1.

    Warnings, among them connections that need credentials or are paused, change nothing of that. The JSON is that of
    GET /health/queues, with the warnings, and the connections that are not active (null when the database cannot tell).
    """
    settings = session.settings
    session.log_as("cli")
    absent = settings.uses_bundled_redis and not bundled.is_running(settings)
    with Flowzz.open(settings, plugins=session.plugins, redis_url=NOBODY if absent else None) as app:
        report = app.health()
        if not as_json:
            _print(report)
        held, problems = _held(app)
        if report["redis"]["connected"]:
            problems = [*_problems(app), *problems]
    if as_json:
        shown = None if held is None else [_shown(one, company) for one, company in held]
        print_json({**report, "connections": shown, "warnings": problems})
    else:
        for problem in problems:
            click.echo(f"Warning: {problem}", err=True)
    if report["status"] != "healthy":
        raise click.exceptions.Exit(1)


def _problems(app: Flowzz) -> list[str]:
    """What Redis may lose, what it lost during the last day, a wrong clock, and which plugin jobs wait for."""
    try:
        found = [app.queues.memory_problem(), app.queues.data_loss(), _wrong_clock(app), *_parked(app)]
    except QueueUnavailable:
        return []
    return [problem for problem in found if problem]


def _wrong_clock(app: Flowzz) -> str | None:
    """That of the machine that asks; by the measure of the scheduler, which then goes by Redis."""
    ahead = app.queues.clock_ahead()
    if ahead is None or abs(ahead) <= SKEW:
        return None
    how = "behind" if ahead > SKEW else "ahead of"
    return (
        f"this machine's clock is {duration(abs(ahead.total_seconds()))} {how} that of Redis; set it right "
        "(meanwhile schedules go by that of Redis)"
    )


def _parked(app: Flowzz) -> list[str]:
    """How many jobs wait for which distribution to be installed, by a look at the first hundred of each queue."""
    waiting: Counter[str] = Counter()
    for queue in app.stats():
        if queue.parked:
            page = app.queues.jobs(queue.name, JobState.PARKED, limit=LOOKED_AT)
            waiting.update(distribution_of(job.name) for job in page.items)
    return [f"{count} parked jobs wait for {name} to be installed" for name, count in sorted(waiting.items())]


def _held(app: Flowzz) -> tuple[Held | None, list[str]]:
    """The connections that are not active, refused ones first, and what there is to say; Redis need not be there."""
    try:
        with database_errors():
            companies = {company.id: company.name for company in app.store.companies()}
            found = [one for one in app.store.all_connections() if one.state is not ConnectionState.ACTIVE]
    except ConfigurationError as error:
        return None, [f"the state of connections is not known: {error}"]
    found.sort(key=lambda one: (one.state is not ConnectionState.NEEDS_CREDENTIALS, one.state_since or one.created_at))
    held = [(one, companies.get(one.company_id, one.company_id)) for one in found]
    return held, list(_sentences(held))


def _sentences(held: Held) -> Iterable[str]:
    for one, company in held[:CONNECTIONS_TOLD]:
        length = duration(max(0.0, (clock.now() - one.state_since).total_seconds())) if one.state_since else ""
        if one.state is ConnectionState.NEEDS_CREDENTIALS:
            state, act = (f"has needed new credentials for {length}" if length else "needs new credentials"), "update"
        else:
            state, act = (f"has been paused for {length}" if length else "is paused"), "resume"
        why = f" ({_on_one_line(one.state_reason)})" if one.state_reason else ""
        yield (
            f"{one.plugin} connection {_on_one_line(one.label)!r} of {_on_one_line(company)} {state}{why}: "
            f"flowzz connections {act} {one.id}"
        )
    if len(held) > CONNECTIONS_TOLD:
        yield f"{len(held) - CONNECTIONS_TOLD} more connections are not active: flowzz connections list"


def _on_one_line(text: str) -> str:
    """A reason may be an upstream's own words, with line breaks."""
    said = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return said if len(said) <= LONGEST_REASON else f"{said[: LONGEST_REASON - 1]}…"


def _shown(one: Connection, company: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "plugin": one.plugin,
        "companyId": one.company_id,
        "company": company,
        "label": one.label,
        "state": one.state,
        "stateReason": one.state_reason,
        "stateSince": one.state_since,
    }


def _print(report: HealthReport) -> None:
    connected = "connected" if report["redis"]["connected"] else "not connected"
    console().print(cell(report["status"]), f"(Redis {connected})")
    columns = ("queue", "state", "waiting", "active", "completed", "failed", "delayed", "paused")
    rows = [
        (queue["name"], "healthy" if queue["healthy"] else "unhealthy", *queue["stats"].values())
        for queue in report["queues"]
    ]
    print_table(columns, rows, empty="no queues")

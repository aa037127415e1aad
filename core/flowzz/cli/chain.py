"""``flowzz chain``."""

from __future__ import annotations

from typing import IO

import click

from flowzz.cli.manifest import enqueued, lines_named, read_jobs
from flowzz.cli.output import json_option, print_json
from flowzz.cli.session import Session, pass_session


@click.command("chain", epilog="Example: flowzz chain jobs.ndjson")
@click.argument("file", type=click.File())
@json_option
@pass_session
def command(session: Session, file: IO[str], as_json: bool) -> None:
    """Enqueue the jobs of FILE, each to run once the one before it completed, and print their ids.

    FILE holds 1 to 500 JSON objects, one a line, {"job": …, "payload": {…}, "options": {…}}; - is stdin. All or none.
    """
    jobs, numbers = read_jobs(file)
    if not jobs:
        raise click.BadParameter("expected at least one job, got an empty file", param_hint="FILE")
    with session.app() as app, lines_named(numbers):
        ids = app.chain(jobs)
    if as_json:
        print_json({"jobs": enqueued(app, ids, jobs)})
    else:
        click.echo("\n".join(ids))

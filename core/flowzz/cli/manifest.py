"""Files of new jobs: one JSON object a line, as a member of POST /api/v1/batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import click
from pydantic import ValidationError

from flowzz.app import Flowzz
from flowzz.errors import FlowzzError
from flowzz.jobs.options import Submission
from flowzz.jobs.payload import problems_of
from flowzz.jobs.submissions import WireJob

EXAMPLE = '{"job": "coinzz.sync_sales", "payload": {"empresaId": "1"}}'


def read_jobs(file: IO[str]) -> tuple[list[Submission], list[int]]:
    """The jobs of a file, and the line each stands on (from 1); blank lines are skipped.

    Raises BadParameter that names the line and the field.
    """
    found, numbers = [], []
    for number, line in enumerate(file, 1):
        if line.strip():
            found.append(read_job(line, where=f"line {number}"))
            numbers.append(number)
    return found, numbers


def read_job(text: str, *, where: str) -> Submission:
    """One job; BadParameter names ``where`` it stands and the field."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{where}: expected a JSON object such as {EXAMPLE} ({error})") from None
    return submission_of(document, where=where)


def submission_of(document: Any, *, where: str) -> Submission:
    """A parsed job; BadParameter as ``read_job``."""
    try:
        return WireJob.model_validate(document, by_alias=True, by_name=False).submission()
    except ValidationError as error:
        problems = problems_of(error, WireJob)
        said = "; ".join(
            f"{p['field']}: {p['message']}" if p["field"] != "(payload)" else p["message"] for p in problems
        )
        raise click.BadParameter(f"{where}: {said}") from None
    except FlowzzError as error:
        raise click.BadParameter(f"{where}: {error}") from None


@contextmanager
def lines_named(numbers: list[int]) -> Iterator[None]:
    """What is refused of ``jobs.3`` is told of the line it came from."""
    try:
        yield
    except FlowzzError as error:
        kind, _, place = (error.part or "").partition(".")
        if kind == "jobs":
            error.about(f"line {numbers[int(place)]}")
        raise


def enqueued(app: Flowzz, ids: Iterable[str], jobs: Iterable[Submission]) -> list[dict[str, str]]:
    """What became of them, for ``--json``."""
    return [
        {"id": job_id, "job": job.job, "queue": app.plugins.job(job.job).queue}
        for job_id, job in zip(ids, jobs, strict=True)
    ]

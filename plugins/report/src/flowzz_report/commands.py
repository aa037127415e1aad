"""``flowzz report list|link|generate``."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import click
from pydantic import ValidationError

from flowzz.app import Flowzz
from flowzz.errors import FlowzzError, InvalidRequest
from flowzz.jobs.payload import problems_of
from flowzz.jobs.state import JobState
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_report import records
from flowzz_report.configuration import ReportSettings
from flowzz_report.generate import GENERATE_JOB, link_to, links_of
from flowzz_report.payload import Format, GenerateReport, ReportType
from flowzz_report.period import today

WAIT = timedelta(minutes=30)


@click.group("report")
def report_commands() -> None:
    """Reports: what there is, links to files, and new ones."""


@report_commands.command("list")
@click.option("--company", "company_id", metavar="ID", help="Of this company alone.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_reports(company_id: str | None, limit: int, as_json: bool) -> None:
    """The reports there are, the newest first."""
    with _store() as (store, _):
        found = records.reports_of(store, company_id, limit=limit)
    if as_json:
        click.echo(json.dumps([_as_json(report) for report in found], ensure_ascii=False, indent=2))
        return
    for report in found:
        size = f"{report.bytes:,} bytes" if report.bytes is not None else report.problem or ""
        span = f"{report.first_day} to {report.last_day}"
        click.echo(f"{report.id}  {report.report_type:<11} {span}  {report.format:<4} {report.state:<8} {size}")
    if not found:
        click.echo("no reports yet; ask for one with: flowzz report generate --company ID --type sales")


@report_commands.command("link")
@click.argument("report_id")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="How long it works. Default: a week.")
def link(report_id: str, hours: float | None) -> None:
    """Print a new link to the file of REPORT_ID. It ends with the file at the latest."""
    with _store() as (store, settings):
        report = records.report_of(store, report_id)
        if report is None:
            raise InvalidRequest(f"no report has the id {report_id!r}")
        lifetime = timedelta(hours=hours) if hours else None
        click.echo(link_to(links_of(settings), report, ReportSettings.load(), lifetime=lifetime))


@report_commands.command("generate")
@click.option("--company", "company_id", required=True, metavar="ID", help="Whose data.")
@click.option("--type", "kind", type=click.Choice([one.value for one in ReportType]), required=True)
@click.option("--from", "first", metavar="YYYY-MM-DD", help="First day. Default: 29 days before the last.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="Last day. Default: today.")
@click.option("--format", "form", type=click.Choice([one.value for one in Format]), default="pdf", show_default=True)
@click.option("--filters", "filters", metavar="JSON", default="{}", help="As in the payload's field filters.")
@click.option("--user", "user_id", metavar="ID", help="Who is told. Default: who you are on this machine.")
@click.option("--no-wait", is_flag=True, help="Print the job's id and do not wait for the file.")
def generate(
    company_id: str,
    kind: str,
    first: str | None,
    last: str | None,
    form: str,
    filters: str,
    user_id: str | None,
    no_wait: bool,
) -> None:
    """Enqueue a report, wait for it, and print the link to its file."""
    with _errors():
        end = date.fromisoformat(last) if last else today()
        asked = GenerateReport.model_validate(
            {
                "empresaId": company_id,
                "reportType": kind,
                "startDate": first or (end - timedelta(days=29)).isoformat(),
                "endDate": end.isoformat(),
                "format": form,
                "filters": json.loads(filters),
                "userId": user_id or getpass.getuser(),
            }
        )
    with _errors(), Flowzz.open(Settings.load()) as app:
        job_id = app.enqueue(GENERATE_JOB, asked)
        if no_wait:
            click.echo(job_id)
            return
        record = app.queues.wait(job_id, WAIT)
    if record.state is not JobState.COMPLETED:
        said = record.error.message if record.error else record.note
        raise click.ClickException(f"job {job_id} is {record.state.value}: {said}")
    click.echo(record.result["fileUrl"])


def _as_json(report: records.Report) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date | datetime) else value

    return {name: plain(getattr(report, name)) for name in records.Report.__dataclass_fields__ if name != "execution"}


@contextmanager
def _store() -> Iterator[tuple[Store, Settings]]:
    with _errors():
        settings = Settings.load()
        store = Store.open(settings)
        try:
            yield store, settings
        finally:
            store.close()


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        said = "; ".join(f"{one['field']}: {one['message']}" for one in problems_of(error, GenerateReport))
        raise click.ClickException(said) from None
    except (FlowzzError, ValueError) as error:
        raise click.ClickException(str(error)) from None

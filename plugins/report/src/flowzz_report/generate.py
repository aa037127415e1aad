"""``report.generate``: read, aggregate, write, publish, tell.

    begin the row ── read and add up (to 40 %) ── write the file (to 90 %) ── publish it ── the row is ready ── notify

The database says what is true. Until the row is ready nobody has a link, and a file without a row is swept; once it is,
a run of the same job again only tells the same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from flowzz.clock import now
from flowzz.errors import FlowzzError, Permanent
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.limits import Concurrency
from flowzz.jobs.notifications import Notification
from flowzz.jobs.sources import DataSource
from flowzz.store.keys import load_keys
from flowzz_report import records, wording
from flowzz_report.configuration import ReportSettings
from flowzz_report.document import Document
from flowzz_report.links import Links
from flowzz_report.naming import TITLES
from flowzz_report.payload import Format, GeneratedReport, GenerateReport
from flowzz_report.period import local
from flowzz_report.records import Made, Report
from flowzz_report.reports import BUILDERS
from flowzz_report.reports.inquiry import Inquiry, missing
from flowzz_report.selection import topics_of
from flowzz_report.storage import Storage
from flowzz_report.writers.csv_file import write_csv
from flowzz_report.writers.pdf_file import write_pdf
from flowzz_report.writers.xlsx_file import write_xlsx

PLUGIN = "report"
GENERATE_JOB = "report.generate"
QUEUE = "report"
TIMEOUT = timedelta(minutes=30)
MEMORY_LIMIT = 1024 * 1024 * 1024
"""Address space beyond what the process starts with. What it really takes is measured in benchmarks: far less, but
threads of the PDF's typesetter reserve 64 MiB each that they never touch."""

READ_FROM, READ_TO, WRITTEN, PUBLISHED = 5.0, 40.0, 90.0, 95.0
LOOK_EVERY_ROWS = 500
REPORT_EVERY_S = 0.5


@job(
    GENERATE_JOB,
    queue=QUEUE,
    timeout=TIMEOUT,
    isolation="process",
    memory_limit=MEMORY_LIMIT,
    limits=[Concurrency("report.company", 2, by="empresa_id")],
)
def generate_report(ctx: JobContext, data: GenerateReport) -> GeneratedReport:
    """Make a report of a company's sales, leads, ads or chosen columns, and a link to it.

    Raises Permanent when no source of its data is installed, the company is not stored, or there are more rows than
    a file may have. Canceled, failed or killed it leaves no file.
    """
    settings = ReportSettings.load()
    report = records.begin(ctx.store, ctx.job_id, data)
    if not report.is_ready:
        ctx.progress(1, "began")
        storage = Storage.of(ctx.settings, settings)
        try:
            report = _make(ctx, data, settings, storage, report)
        except BaseException as error:
            # Also for JobCanceled and for SystemExit: whatever ended the run, the row must not say that it runs.
            said = str(error) if isinstance(error, FlowzzError) else f"{type(error).__name__}: {error}"
            records.fail(ctx.store, report, said)
            raise
    return _tell(ctx, data, settings, report)


def links_of(settings: Any) -> Links:
    """The links of an installation; ``settings`` are the core's."""
    return Links(load_keys(settings).signing_key, settings.web_url)


def link_to(links: Links, report: Report, settings: ReportSettings, *, lifetime: timedelta | None = None) -> str:
    """A link from now on, that ends with the file at the latest. Raises Permanent when the report has no file."""
    if not report.is_ready or report.expires_at is None:
        raise Permanent(f"report {report.id} has no file: it is {report.state}")
    return links.url(report.id, min(now() + (lifetime or settings.link_lifetime), report.expires_at))


def _make(ctx: JobContext, data: GenerateReport, settings: ReportSettings, storage: Storage, report: Report) -> Report:
    with storage.workplace() as folder:
        path = folder / f"report.{data.format}"
        rows = _write(ctx, data, settings, report, path)
        ctx.progress(WRITTEN, "storing the file")
        ctx.raise_if_canceled()
        name = f"{report.id[:2]}/{report.id}-{report.execution}.{data.format}"
        size, digest = path.stat().st_size, _digest(path)
        storage.publish(path, name)
    at = now()
    made = Made(name, size, digest, rows, at, at + settings.keep)
    # Should this raise, whether the row says "ready" is unknown: if it does the file must stay; if not, it is swept.
    if not records.finish(ctx.store, report, made):
        storage.remove(name)
        ctx.raise_if_canceled()
        raise Permanent(f"another run of job {ctx.job_id} makes report {report.id}")
    ctx.progress(PUBLISHED, "stored")
    ready = records.report_of(ctx.store, report.id)
    assert ready is not None  # noqa: S101 - updated above
    return ready


def _write(ctx: JobContext, data: GenerateReport, settings: ReportSettings, report: Report, path: Path) -> int:
    """Read and write; the number of rows listed. The database is read as it was at one moment."""
    topics = topics_of(data.report_type.value, data.filters)
    sources: dict[str, Sequence[DataSource]] = {topic.name: ctx.data_sources(topic.name) for topic in topics}
    for topic in topics:
        ctx.log(
            f"{topic.name}: reading {', '.join(source.name for source in sources[topic.name])}"
            if sources[topic.name]
            else missing(topic)
        )
    with ctx.store.snapshot(temporary=True) as session:
        inquiry = Inquiry(
            session=session,
            company_id=data.empresa_id,
            company=records.company_name(session, data.empresa_id),
            report_id=report.id,
            period=data.period,
            filters=data.filters,
            sources=sources,
            generated_at=local(now()),
            progress=_reading(ctx),
            lists=data.format is not Format.PDF,
        )
        document = BUILDERS[data.report_type](inquiry)
        for notice in document.notices:
            ctx.log(notice)
        count = document.listing.count if document.listing else len(document.tables[0].rows)
        if data.format is not Format.PDF and count > settings.max_rows:
            raise Permanent(
                f"the report has {count:,} rows and a file may have {settings.max_rows:,} (FLOWZZ_REPORT_MAX_ROWS); "
                "ask for a shorter period or for fewer rows by filters"
            )
        ctx.progress(READ_TO, "writing the file")
        ctx.raise_if_canceled()
        _WRITERS[data.format](document, path, settings, _Watch(ctx, count))
        session.rollback()  # nothing was written but temporary tables, which go with it
    return count


def _reading(ctx: JobContext) -> Callable[[float, str], None]:
    def tell(fraction: float, note: str) -> None:
        ctx.raise_if_canceled()
        ctx.progress(READ_FROM + fraction * (READ_TO - READ_FROM), f"reading: {note}")

    return tell


class _Watch:
    """Told of each row written: reports progress, at most twice a second, and looks whether somebody canceled."""

    def __init__(self, ctx: JobContext, count: int) -> None:
        self._ctx = ctx
        self._count = max(count, 1)
        self._reported = float("-inf")

    def __call__(self, written: int) -> None:
        if written % LOOK_EVERY_ROWS and written != self._count:
            return
        if monotonic() - self._reported < REPORT_EVERY_S and written != self._count:
            return
        self._reported = monotonic()
        self._ctx.raise_if_canceled()
        done = READ_TO + (WRITTEN - READ_TO) * min(1.0, written / self._count)
        self._ctx.progress(done, f"row {written:,} of {self._count:,}")


def _xlsx(document: Document, path: Path, _settings: ReportSettings, wrote: Callable[[int], None]) -> None:
    write_xlsx(document, path, path.parent, wrote)


def _pdf(document: Document, path: Path, settings: ReportSettings, _wrote: Callable[[int], None]) -> None:
    write_pdf(document, path, settings)


_WRITERS: dict[Format, Callable[[Document, Path, ReportSettings, Callable[[int], None]], None]] = {
    Format.PDF: _pdf,
    Format.XLSX: _xlsx,
    Format.CSV: write_csv,
}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tell(ctx: JobContext, data: GenerateReport, settings: ReportSettings, report: Report) -> GeneratedReport:
    """The result, and a notification to who asked: the same one however often this runs."""
    url = link_to(links_of(ctx.settings), report, settings)
    title = TITLES[data.report_type]
    span = f"{wording.day(report.first_day)} a {wording.day(report.last_day)}"
    taken = ctx.notify(
        Notification(
            kind="report.ready",
            company_id=report.company_id,
            user_id=report.requested_by,
            title=f"{title} pronto",
            text=f"{title} de {span} em {report.format.upper()}.",
            link=url,
            data={
                "reportId": report.id,
                "reportType": report.report_type,
                "format": report.format,
                "startDate": report.first_day.isoformat(),
                "endDate": report.last_day.isoformat(),
            },
            key=f"report.ready:{report.id}:{report.execution}",
        )
    )
    ctx.log(f"told {', '.join(taken)}" if taken else f"no notifier took the news for user {report.requested_by}")
    ctx.progress(100, "done")
    assert report.generated_at is not None  # noqa: S101 - a ready report has one
    return GeneratedReport(report_id=report.id, file_url=url, generated_at=report.generated_at)

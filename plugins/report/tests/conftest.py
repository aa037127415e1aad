"""A real database with rows to report, and the smallest thing that can run the handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowzz.jobs.context import JobContext
from flowzz.jobs.notifications import Notification, Notified
from flowzz.jobs.sources import DataSource
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_report.generate import generate_report
from flowzz_report.models import MIGRATIONS
from flowzz_report.payload import GeneratedReport, GenerateReport
from flowzz_report.records import Report, report_of, reports_of
from support import market


@dataclass
class Recorder:
    """A ReporterPort that keeps what was reported. ``on_progress`` may raise, as a crash or a cancel would."""

    lines: list[str] = field(default_factory=list)
    progressed: list[tuple[float, str]] = field(default_factory=list)
    stop_requested: bool = False
    cancel_requested: bool = False
    lease_lost: bool = False
    on_progress: Callable[[float], None] = lambda percent: None

    def report(
        self, *, progress: tuple[float, str] | None = None, log: Sequence[str] = (), checkpoint: Any = None
    ) -> None:
        self.lines.extend(log)
        if progress is not None:
            self.progressed.append(progress)
            self.on_progress(progress[0])

    def recall(self) -> Mapping[str, str]:
        return {}

    def remember(self, name: str, result: str) -> None: ...


@dataclass
class Host:
    """A HostPort with these data sources; it keeps what it was told."""

    settings: Settings
    sources: tuple[DataSource, ...] = (market.SALES, market.ADS)
    told: list[Notification] = field(default_factory=list)

    def enqueue(self, job: str, payload: Any, options: Any = None) -> str:
        raise NotImplementedError

    def data_sources(self, topic: str) -> tuple[DataSource, ...]:
        return tuple(source for source in self.sources if source.topic == topic)

    def notify(self, notification: Notification) -> Notified:
        self.told.append(notification)
        return Notified(("market.bell",), {})


@dataclass
class Desk:
    """A company whose reports are asked for, and what its tests look at."""

    store: Store
    host: Host
    company_id: str
    recorder: Recorder = field(default_factory=Recorder)

    def stock(self, rows: Any, table: Any = market.sales) -> None:
        market.stock(self.store, self.company_id, rows, table)

    def context(self, job_id: str = "job-1") -> JobContext:
        return JobContext(
            job_id=job_id,
            job_name="report.generate",
            queue="report",
            company_id=self.company_id,
            attempt=1,
            max_attempts=3,
            worker="test",
            store=self.store,
            host=self.host,
            reporter=self.recorder,
        )

    def ask(self, job_id: str = "job-1", **wanted: Any) -> GeneratedReport:
        """Run the handler in this process. Default: the sales of March 2026 as XLSX."""
        asked = {
            "empresaId": self.company_id,
            "reportType": "sales",
            "startDate": "2026-03-01",
            "endDate": "2026-03-31",
            "userId": "ana",
            "format": "xlsx",
            **wanted,
        }
        return generate_report(self.context(job_id), GenerateReport.model_validate(asked))

    def file(self, made: GeneratedReport) -> Path:
        """Where the file lies."""
        report = self.row(made.report_id)
        assert report.file is not None
        return self.host.settings.data_folder / "reports" / report.file

    def row(self, report_id: str) -> Report:
        report = report_of(self.store, report_id)
        assert report is not None
        return report

    def rows(self) -> list[Report]:
        return reports_of(self.store, self.company_id)

    def left(self) -> list[str]:
        """Every file of reports there is, whole or not."""
        home = self.host.settings.data_folder
        found = [path for name in ("reports", "reports-scratch") for path in (home / name).rglob("*")]
        return [str(path.relative_to(home)) for path in found if path.is_file()]


def _desk(settings: Settings) -> Iterator[Desk]:
    store = Store.open(settings)
    store.migrate([MIGRATIONS])
    market.metadata.create_all(store.engine)
    company = store.add_company("Loja Exemplo")
    yield Desk(store, Host(settings), company.id)
    store.close()


@pytest.fixture
def desk(home: Path) -> Iterator[Desk]:
    """On SQLite."""
    yield from _desk(Settings.load(home=home))


@pytest.fixture
def each_desk(home: Path, database_url: str) -> Iterator[Desk]:
    """Once on SQLite, once on PostgreSQL."""
    yield from _desk(Settings.load(home=home, database_url=database_url))

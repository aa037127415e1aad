"""The life of a report's row: running, then ready or failed, in the end expired.

    begin ──> running ──finish──> ready ──expire──> expired
                 │ fail                                │ begin (the job is run again by hand)
                 └──────────────> failed ──begin───────┴──> running

Each change names the execution that makes it, and counts only while that execution has the row: a run that lost its
lease and wakes up late changes nothing, and removes its own file.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, column, insert, select, table, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowzz.clock import now
from flowzz.errors import Permanent
from flowzz.jobs.context import StorePort
from flowzz_report.models import reports
from flowzz_report.payload import GenerateReport

PROBLEM_LIMIT = 1_000


class State(StrEnum):
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Report:
    """One row of the table; see models.py."""

    id: str
    job_id: str
    execution: str
    company_id: str
    report_type: str
    first_day: date
    last_day: date
    format: str
    requested_by: str
    state: State
    problem: str | None
    file: str | None
    bytes: int | None
    sha256: str | None
    rows: int | None
    created_at: datetime
    generated_at: datetime | None
    expires_at: datetime | None

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY


@dataclass(frozen=True, slots=True)
class Made:
    """A whole file in the storage."""

    file: str
    bytes: int
    sha256: str
    rows: int
    generated_at: datetime
    expires_at: datetime


def begin(store: StorePort, job_id: str, data: GenerateReport) -> Report:
    """This job's report, running under a new execution; or ready, when an earlier run made its file already.

    Raises Permanent when the company does not exist.
    """
    fresh = {
        "execution": uuid.uuid4().hex[:8],
        "state": State.RUNNING,
        "problem": None,
        "file": None,
        "bytes": None,
        "sha256": None,
        "rows": None,
        "generated_at": None,
        "expires_at": None,
        "began_at": now(),
    }
    asked = {
        "company_id": data.empresa_id,
        "report_type": data.report_type.value,
        "first_day": data.start_date,
        "last_day": data.end_date,
        "format": data.format.value,
        "filters": data.filters.model_dump(mode="json", exclude_defaults=True),
        "requested_by": data.user_id,
    }
    try:
        with store.session() as session:
            found = _of_job(session, job_id)
            if found is not None and found.is_ready:
                return found
            if found is None:
                row = {"id": str(uuid.uuid4()), "job_id": job_id, "created_at": now(), **asked, **fresh}
                session.execute(insert(reports).values(row))
            else:
                session.execute(update(reports).where(reports.c.id == found.id).values({**asked, **fresh}))
            running = _of_job(session, job_id)
    except IntegrityError:
        raise Permanent(f"no company has the id {data.empresa_id!r}") from None
    assert running is not None  # noqa: S101 - inserted or updated above
    return running


def finish(store: StorePort, report: Report, made: Made) -> bool:
    """The report is ready; False when another execution has it by now."""
    return _change(
        store,
        report,
        state=State.READY,
        file=made.file,
        bytes=made.bytes,
        sha256=made.sha256,
        rows=made.rows,
        generated_at=made.generated_at,
        expires_at=made.expires_at,
    )


def fail(store: StorePort, report: Report, problem: str) -> bool:
    """The run ended without a file; another run of the same job may begin again."""
    return _change(store, report, state=State.FAILED, problem=problem[:PROBLEM_LIMIT])


def expire(store: StorePort, report: Report) -> None:
    """Its file is gone."""
    with store.session() as session:
        ready = (reports.c.id == report.id) & (reports.c.file == report.file)
        session.execute(update(reports).where(ready).values(state=State.EXPIRED, file=None))


def report_of(store: StorePort, report_id: str) -> Report | None:
    with store.snapshot() as session:
        return _read(session.execute(select(*_COLUMNS).where(reports.c.id == report_id)).first())


def reports_of(store: StorePort, company_id: str | None = None, *, limit: int = 100, offset: int = 0) -> list[Report]:
    """The newest first, of one company or of all."""
    query = select(*_COLUMNS).order_by(reports.c.created_at.desc(), reports.c.id).limit(limit).offset(offset)
    if company_id is not None:
        query = query.where(reports.c.company_id == company_id)
    return _all(store, query)


def due(store: StorePort, at: datetime, limit: int = 500) -> list[Report]:
    """Ready reports whose file is to be deleted by then."""
    over = (reports.c.state == State.READY) & (reports.c.expires_at <= at)
    return _all(store, select(*_COLUMNS).where(over).order_by(reports.c.expires_at).limit(limit))


def abandoned(store: StorePort, before: datetime, limit: int = 500) -> list[Report]:
    """Reports that began before that moment and neither ended nor began again."""
    stuck = (reports.c.state == State.RUNNING) & (reports.c.began_at < before)
    return _all(store, select(*_COLUMNS).where(stuck).limit(limit))


def files(store: StorePort) -> frozenset[str]:
    """The names of all files that a report has."""
    with store.snapshot() as session:
        return frozenset(session.scalars(select(reports.c.file).where(reports.c.file.is_not(None))))


def company_name(session: Session, company_id: str) -> str:
    """What the company is called; Permanent when there is none of that id."""
    companies = table("flowzz_companies", column("id"), column("name"))
    name = session.scalar(select(companies.c.name).where(companies.c.id == company_id))
    if name is None:
        raise Permanent(f"no company has the id {company_id!r}")
    return str(name)


_NAMES = tuple(Report.__dataclass_fields__)
_COLUMNS = tuple(reports.c[name] for name in _NAMES)


def _change(store: StorePort, report: Report, **values: Any) -> bool:
    ours = (reports.c.id == report.id) & (reports.c.execution == report.execution)
    statement = update(reports).where(ours, reports.c.state == State.RUNNING).values(values).returning(reports.c.id)
    with store.session() as session:
        return session.execute(statement).first() is not None


def _of_job(session: Session, job_id: str) -> Report | None:
    # FOR UPDATE: two runs that begin at the same moment take turns. SQLite has one writer anyway, and no such lock.
    return _read(session.execute(select(*_COLUMNS).where(reports.c.job_id == job_id).with_for_update()).first())


def _all(store: StorePort, query: Any) -> list[Report]:
    with store.snapshot() as session:
        return [report for row in session.execute(query) if (report := _read(row)) is not None]


def _read(row: Row[Any] | None) -> Report | None:
    if row is None:
        return None
    values = dict(zip(_NAMES, row, strict=True))
    return Report(**{**values, "state": State(values["state"])})

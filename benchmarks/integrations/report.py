"""Sales reports over 100,000 orders of Coinzz: the workbook with every one of them, and the PDF that sums them up."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xlsxwriter
from sqlalchemy import func, insert, select

from flowzz_coinzz.models import orders
from flowzz_report.configuration import ReportSettings
from flowzz_report.payload import Filters
from flowzz_report.period import Period
from flowzz_report.reports import sales
from flowzz_report.reports.inquiry import Inquiry
from flowzz_report.writers.pdf_file import write_pdf
from integrations.bench import Benchmark, Stage

COMPANY = "Loja Grande"
DAYS = 90
FIRST = datetime(2026, 1, 1, 15, tzinfo=UTC)
BATCH = 5_000
ENDINGS = (".xlsx", ".pdf")


def _order(number: int, company: str) -> dict[str, Any]:
    at = FIRST + timedelta(days=number % DAYS, seconds=number % 9_000)
    paid = number % 4 != 0
    return {
        "company_id": company,
        "order_number": f"ord{number:07}",
        "order_status": "Aprovado" if paid else "Cancelado",
        "order_group": "paid" if paid else "canceled",
        "ordered_at": at,
        "day": at.date(),
        "final_price": Decimal(4_990 + number % 30_000).scaleb(-2),
        "quantity": 1 + number % 3,
        "payment_label": "Pix",
        "payment_method": "pix",
        "product_name": f"Produto {number % 40}",
        "offer_name": "Oferta única",
        "client_name": f"Cliente de Tal {number % 30_000}",
        "client_email": f"cliente{number % 30_000}@example.com",
        "client_document": f"{number % 30_000:011}",
        "state": ("SP", "RJ", "MG", "BA")[number % 4],
        "utm_source": ("facebook", "google", None)[number % 3],
        "utm_medium": "cpc",
        "utm_campaign": f"campanha-{number % 25}",
        "suspicious": False,
        "fingerprint": str(number),
        "first_seen_at": at,
        "updated_at": at,
    }


def _prepare(form: str) -> Callable[[Stage], list[str]]:
    def prepare(stage: Stage) -> list[str]:
        company = stage.app.store.add_company(COMPANY).id
        for start in range(0, stage.size, BATCH):
            rows = [_order(number, company) for number in range(start, min(start + BATCH, stage.size))]
            with stage.app.store.session() as session:
                session.execute(insert(orders), rows)
        asked = {
            "empresaId": company,
            "reportType": "sales",
            "startDate": "2026-01-01",
            "endDate": "2026-03-31",
            "userId": "bench",
            "format": form,
        }
        return [stage.app.enqueue("report.generate", asked)]

    return prepare


def _warm(stage: Stage) -> list[str]:
    """An empty report: a worker's first job in a process of its own waits for all plugins to be loaded there."""
    asked = {
        "empresaId": stage.app.store.add_company("Loja Vazia").id,
        "reportType": "sales",
        "startDate": "2025-01-01",
        "endDate": "2025-01-01",
        "userId": "bench",
        "format": "csv",
    }
    return [stage.app.enqueue("report.generate", asked)]


def _check(stage: Stage, jobs: list[str]) -> None:
    record = stage.app.queues.job(jobs[0])
    assert record.state.value == "completed", (record.state, record.error)
    files = [path for path in (stage.app.settings.data_folder / "reports").rglob("*") if path.suffix in ENDINGS]
    assert len(files) == 1, files
    with stage.app.store.session() as session:
        assert session.scalar(select(func.count()).select_from(orders)) == stage.size


def _company(stage: Stage) -> str:
    return next(one.id for one in stage.app.store.companies() if one.name == COMPANY)


def _rows(stage: Stage) -> list[tuple[Any, ...]]:
    (source,) = stage.app.data_sources("sales")
    company = _company(stage)
    with stage.app.store.snapshot() as session:
        found = session.execute(source.select(company, FIRST - timedelta(days=1), FIRST + timedelta(days=DAYS + 1)))
        return [tuple(row) for row in found]


def _reading(stage: Stage) -> float:
    """Every row of the source, fetched and thrown away."""
    began = time.perf_counter()
    _rows(stage)
    return time.perf_counter() - began


def _grouping(stage: Stage) -> float:
    """Count and sum by one column, seven times: day, state, status, product, client, UTM and payment."""
    keys = ("order_group", "order_status", "product_name", "client_document", "utm_campaign", "payment_method")
    began = time.perf_counter()
    with stage.app.store.snapshot() as session:
        for name in ("day", *keys):
            by = orders.c[name]
            session.execute(select(by, func.count(), func.sum(orders.c.final_price)).group_by(by)).all()
    return time.perf_counter() - began


def _cells(stage: Stage) -> float:
    """The same rows as cells, by XlsxWriter alone in constant memory: 16 columns, no format, nothing looked at."""
    rows = _rows(stage)
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        options = {"constant_memory": True, "remove_timezone": True, "tmpdir": folder}
        with xlsxwriter.Workbook(str(Path(folder) / "floor.xlsx"), options) as book:
            sheet, dates = book.add_worksheet(), book.add_format({"num_format": "dd/mm/yyyy hh:mm"})
            for at, row in enumerate(rows):
                for place, value in enumerate(row[:16]):
                    if isinstance(value, datetime):
                        sheet.write_datetime(at, place, value, dates)
                    elif isinstance(value, str):
                        sheet.write_string(at, place, value)
                    elif value is not None:
                        sheet.write_number(at, place, float(value))
        return time.perf_counter() - began


def _selecting(stage: Stage) -> float:
    """The source's select, worked out once by the database, with two sums so that it cannot skip the columns."""
    (source,) = stage.app.data_sources("sales")
    rows = source.select(_company(stage), FIRST - timedelta(days=1), FIRST + timedelta(days=DAYS + 1))
    given = rows.subquery()
    wanted = [func.count(given.c[name]) for name in ("state", "counts", "status", "product", "client_key", "uf")]
    began = time.perf_counter()
    with stage.app.store.snapshot() as session:
        session.execute(select(func.sum(given.c.amount), func.count(given.c.utm_campaign), *wanted)).one()
    return time.perf_counter() - began


def _typesetting(stage: Stage) -> float:
    """The finished document set as pages, again: what is measured is the typesetter, in this process."""
    period = Period(date(2026, 1, 1), date(2026, 3, 31))
    with stage.app.store.snapshot(temporary=True) as session, TemporaryDirectory() as folder:
        inquiry = Inquiry(
            session=session,
            company_id=_company(stage),
            company=COMPANY,
            report_id="floor",
            period=period,
            filters=Filters(),
            sources={"sales": stage.app.data_sources("sales")},
            generated_at=datetime(2026, 4, 1),  # noqa: DTZ001 - on the company's clock
            progress=lambda fraction, note: None,
        )
        document = sales.build(inquiry)
        session.rollback()
        began = time.perf_counter()
        write_pdf(document, Path(folder) / "floor.pdf", ReportSettings())
        return time.perf_counter() - began


BENCHMARKS = [
    Benchmark(
        name="report.xlsx",
        title="Report: workbook of 100,000 sales",
        plugin="report",
        size=100_000,
        unit="orders",
        warm=_warm,
        prepare=_prepare("xlsx"),
        check=_check,
        floors={"reading": _reading, "grouping": _grouping, "cells": _cells},
    ),
    Benchmark(
        name="report.pdf",
        title="Report: PDF that sums up 100,000 sales",
        plugin="report",
        size=100_000,
        unit="orders",
        warm=_warm,
        prepare=_prepare("pdf"),
        check=_check,
        floors={"selecting": _selecting, "grouping": _grouping, "typesetting": _typesetting},
    ),
]

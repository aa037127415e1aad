"""CSV: the report's rows alone, one line each, for other programs and for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from flowzz_report.configuration import ReportSettings
from flowzz_report.document import Column, Document, Row
from flowzz_report.writers.texts import clean, looks_like_formula

GUARD = "'"
"""Put before text that a spreadsheet would take for a formula; spreadsheets read it as "this is text"."""


def write_csv(document: Document, path: Path, settings: ReportSettings, wrote: Callable[[int], None]) -> None:
    """Header line and rows, no totals. ``wrote`` is told of the number of rows now and then.

    Numbers stand without thousands; with ``;`` their decimals have a comma. Moments are ISO 8601 without a zone, on
    the company's clock. What is not known is empty. Text that looks like a formula is guarded by an apostrophe.
    """
    columns, rows = _content(document)
    comma = settings.csv_separator == ";"
    encoding = "utf-8-sig" if settings.csv_bom else "utf-8"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=settings.csv_separator, lineterminator="\r\n")
        writer.writerow([column.title for column in columns])
        for at, row in enumerate(rows, 1):
            writer.writerow([_cell(value, comma=comma) for value in row])
            wrote(at)


def _content(document: Document) -> tuple[tuple[Column, ...], Iterator[Row]]:
    if document.listing is not None:
        return document.listing.columns, document.listing.rows()
    table = document.tables[0]
    return table.columns, iter(table.rows)


def _cell(value: Any, *, comma: bool) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            text = f"{value:f}"
            return text.replace(".", ",") if comma else text
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case date():
            return value.isoformat()
        case str():
            text = clean(value)
            return GUARD + text if looks_like_formula(text) else text
    return str(value)

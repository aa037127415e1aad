"""A report before it is a file: what its figures, charts and tables say. The writers only lay it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from flowzz_report.period import Period

Kind = Literal["text", "integer", "decimal", "money", "percent", "boolean", "date", "month", "datetime"]
"""``percent`` is a fraction: 0.25 is 25 %. ``month`` is a date whose day does not count."""

Row = tuple[Any, ...]
"""Python values by the columns' kinds; None where something is not known. Moments are local and naive."""


@dataclass(frozen=True, slots=True)
class Column:
    """``total`` says that the column's sum is shown; ``width`` is a wish, in characters."""

    title: str
    kind: Kind = "text"
    total: bool = False
    width: int = 14


@dataclass(frozen=True, slots=True)
class Figure:
    """A headline figure; ``value`` None is shown as a dash, with ``note`` saying why or what."""

    label: str
    value: Decimal | int | str | None
    kind: Kind
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Drawn from a table: ``label`` and ``values`` are places of columns. The first ``limit`` rows or all are drawn."""

    title: str
    shape: Literal["line", "columns", "bars"]
    label: int
    values: tuple[int, ...]
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """``name`` is short, for the tab of a sheet. ``total`` is the last row, or None. ``note`` stands under it.

    ``in_pdf`` False keeps the rows out of a PDF, not the charts; ``pdf_rows`` limits them there.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    total: Row | None = None
    note: str = ""
    in_pdf: bool = True
    pdf_rows: int | None = None
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """Every row there is, streamed: ``rows`` may be called once, while the reader is open.

    ``count`` and ``total`` come from SQL, not from adding up what was streamed.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    count: int
    rows: Callable[[], Iterator[Row]]
    total: Row | None = None
    in_pdf: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """``notices`` are what a reader must know: a source that is missing, rows that are left out."""

    kind: str
    title: str
    company: str
    period: Period
    currency: str
    generated_at: datetime
    report_id: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    listing: Listing | None = None
    notices: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    sources: tuple[str, ...] = field(default=())

"""Custom: the columns, conditions, groups and order that somebody chose, of one topic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, func, select

from flowzz.plugins.contributions import DataColumn
from flowzz_report.arithmetic import whole, whole_or_none
from flowzz_report.document import Column, Document, Figure, Kind, Listing, Row
from flowzz_report.period import local
from flowzz_report.reports.inquiry import Inquiry
from flowzz_report.reports.sales import state_name
from flowzz_report.rows import Rows
from flowzz_report.selection import COUNT, NUMBERS, group_column, topics_of
from flowzz_report.topics import Topic, width_of

COUNTED = Column("Linhas", "integer", total=True, width=10)
MOST_FIGURES = 6


def build(inquiry: Inquiry) -> Document:
    """Raises Permanent when no source of the topic is installed."""
    topic = topics_of("custom", inquiry.filters)[0]
    inquiry.require(topic)
    rows = inquiry.rows(topic)
    currency = inquiry.in_one_currency(rows)
    numbers = [topic.columns[name] for name in inquiry.filters.columns if topic.columns[name].kind in NUMBERS]
    sums = rows.one(rows.query(func.count(), *(func.sum(rows.c[one.name]) for one in numbers)))
    count, totals = whole(sums[0]), _totals(numbers, sums[1:])
    inquiry.progress(0.5, "totals")
    grouped = bool(inquiry.filters.group_by)
    listing = _grouped(inquiry, topic, rows, count, totals) if grouped else _listed(inquiry, topic, rows, count, totals)
    inquiry.progress(1.0, "rows")
    figures = [Figure("Linhas", count, "integer", topic.title.lower())]
    figures += [Figure(one.title, totals[one.name], _kind(one), "soma do período") for one in numbers]
    return Document(
        kind="custom",
        title="Relatório personalizado",
        company=inquiry.company,
        period=inquiry.period,
        currency=currency,
        generated_at=inquiry.generated_at,
        report_id=inquiry.report_id,
        figures=tuple(figures[:MOST_FIGURES]),
        tables=(),
        listing=listing,
        notices=tuple(inquiry.notices),
        filters=inquiry.described_filters,
        sources=inquiry.source_titles,
    )


def _totals(numbers: list[DataColumn], sums: tuple[Any, ...]) -> dict[str, Any]:
    return {
        one.name: whole_or_none(value) if one.kind == "integer" else value
        for one, value in zip(numbers, sums, strict=True)
    }


def _kind(column: DataColumn) -> Kind:
    return column.kind


def _column(column: DataColumn) -> Column:
    return Column(column.title, column.kind, total=column.kind in NUMBERS, width=width_of(column))


def _listed(inquiry: Inquiry, topic: Topic, rows: Rows, count: int, totals: dict[str, Any]) -> Listing:
    names = inquiry.filters.columns
    columns = tuple(_column(topic.columns[name]) for name in names)
    chosen = [rows.c[name] for name in names]
    order = _ordered(inquiry, dict(zip(names, chosen, strict=True))) or [rows.c[topic.moment]]
    kinds = [(name, topic.columns[name].kind) for name in names]

    def stream() -> Iterator[Row]:
        for row in rows.stream(rows.query(*chosen).order_by(*order)):
            yield tuple(_shown(name, kind, value) for (name, kind), value in zip(kinds, row, strict=True))

    return Listing(
        name="Linhas",
        title=topic.title,
        columns=columns,
        count=count,
        rows=stream,
        total=_total_row(columns, [totals.get(name) for name in names]) if totals else None,
        in_pdf=True,
    )


def _grouped(inquiry: Inquiry, topic: Topic, rows: Rows, count: int, totals: dict[str, Any]) -> Listing:
    names = inquiry.filters.group_by
    groups = [group_column(topic, name) for name in names]
    keys = [rows.c[part] if part else rows.c[column.name] for column, part in groups]
    sums = {name: func.sum(rows.c[name]) for name in totals}
    order = _ordered(inquiry, {**dict(zip(names, keys, strict=True)), **sums, COUNT: func.count()}) or keys
    query = rows.query(*keys, func.count(), *sums.values()).group_by(*keys)
    number = whole(inquiry.session.scalar(select(func.count()).select_from(query.subquery())))
    columns = (
        *(_group_column(column, part) for column, part in groups),
        COUNTED,
        *(_column(topic.columns[name]) for name in totals),
    )
    kinds = [*((column.name, "text" if part else column.kind) for column, part in groups), (COUNT, "integer")]
    kinds += [(name, topic.columns[name].kind) for name in totals]

    def stream() -> Iterator[Row]:
        for row in rows.stream(query.order_by(*order)):
            yield tuple(_shown(name, kind, value) for (name, kind), value in zip(kinds, row, strict=True))

    given = [*([None] * len(keys)), count, *totals.values()]
    return Listing(
        name="Grupos",
        title=topic.title,
        columns=columns,
        count=number,
        rows=stream,
        total=_total_row(columns, given),
        in_pdf=True,
    )


def _group_column(column: DataColumn, part: str | None) -> Column:
    kind: Kind = {"day": "date", "month": "month"}[part] if part else column.kind  # type: ignore[assignment]
    return Column(column.title, kind, width=width_of(column))


def _ordered(inquiry: Inquiry, by: dict[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """NULLs last, on both databases alike."""
    found: list[ColumnElement[Any]] = []
    for name in inquiry.filters.order_by:
        column = by[name.removeprefix("-")]
        found += [column.is_(None), column.desc() if name.startswith("-") else column.asc()]
    return found


def _shown(name: str, kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "datetime":
        return local(value)
    if kind == "integer":
        return whole(value)
    return state_name(value) if name == "state" else value


def _total_row(columns: tuple[Column, ...], values: list[Any]) -> Row:
    """ "Total" stands in the first column that adds nothing up."""
    row = list(values)
    place = next((at for at, column in enumerate(columns) if not column.total), None)
    if place is not None:
        row[place] = "Total"
    return tuple(row)

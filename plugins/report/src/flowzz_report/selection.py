"""Whether the columns that filters name exist and can do what is asked of them; refused before a job is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from flowzz.errors import nearest
from flowzz.plugins.contributions import DataColumn
from flowzz_report.conditions import check_condition
from flowzz_report.topics import AD_PERFORMANCE, SALES, TOPICS, Topic

if TYPE_CHECKING:
    from flowzz_report.payload import Filters

NUMBERS = ("integer", "decimal", "money")
PARTS = ("day", "month")
"""What a moment may also be grouped by: ``ordered_at`` alone means its day."""
COUNT = "rows"
"""The number of rows of a group: always shown, and a name to order by."""


def check_selection(report_type: str, filters: Filters) -> None:
    """Raises ValueError, naming the column and the nearest one that exists."""
    topics = topics_of(report_type, filters)
    for name, condition in filters.where.items():
        for topic in _having(topics, name, "filters"):
            check_condition(topic.columns[name], condition)
    if report_type == "custom":
        _check_custom(topics[0], filters)
        return
    given = [name for name in ("source", "columns", "group_by", "order_by") if getattr(filters, name)]
    if given:
        raise ValueError(f"filters: {', '.join(given)} is for reportType custom only, got reportType {report_type}")


def topics_of(report_type: str, filters: Filters) -> list[Topic]:
    """What a report is made of."""
    if report_type == "performance":
        return [AD_PERFORMANCE, SALES]
    return [TOPICS[filters.source or SALES.name]]


def group_column(topic: Topic, name: str) -> tuple[DataColumn, str | None]:
    """A group's column, and the part of its moment: ``ordered_at``, ``ordered_at.month``."""
    column, _, part = name.partition(".")
    found = _column(topic, column, "groupBy")
    if found.kind in NUMBERS:
        raise ValueError(f"filters.groupBy: {name} is a number; expected text, a date or a boolean")
    timed = found.kind in ("date", "datetime")
    if part and (not timed or part not in PARTS):
        raise ValueError(f"filters.groupBy: expected {column}, or one of .{', .'.join(PARTS)} of a date; got {name}")
    return found, (part or "day") if timed else None


def _having(topics: list[Topic], name: str, place: str) -> list[Topic]:
    found = [topic for topic in topics if name in topic.columns]
    if not found:
        _unknown(name, [column for topic in topics for column in topic.columns], place)
    return found


def _column(topic: Topic, name: str, place: str) -> DataColumn:
    if name not in topic.columns:
        _unknown(name, topic.columns, f"filters.{place}")
    return topic.columns[name]


def _unknown(name: str, known: Iterable[str], place: str) -> NoReturn:
    names = list(known)
    like = nearest(name, names)
    hint = f"; did you mean {like!r}?" if like else f"; expected one of {', '.join(names)}"
    raise ValueError(f"{place}: unknown column {name!r}{hint}")


def _check_custom(topic: Topic, filters: Filters) -> None:
    columns = [_column(topic, name, "columns") for name in filters.columns]
    groups = [group_column(topic, name) for name in filters.group_by]
    if not columns and not groups:
        raise ValueError("filters: a custom report needs columns, or groupBy, or both")
    for column in columns if groups else ():
        if column.kind not in NUMBERS:
            raise ValueError(f"filters.columns: with groupBy only numbers are added up, got {column.name!r}")
    shown = [*filters.columns, *filters.group_by, *([COUNT] if groups else [])]
    for name in filters.order_by:
        if name.removeprefix("-") not in shown:
            raise ValueError(f"filters.orderBy: expected one of {', '.join(shown)}, got {name.removeprefix('-')!r}")

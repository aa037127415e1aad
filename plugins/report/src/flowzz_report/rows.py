"""The rows of one topic, of one company, in one period: the sources' selects as one subquery that queries go over.

All counting and adding up happens in the database, on SQLite as on PostgreSQL. Two columns are added to the topic's:
``day`` and ``month``, dates in the company's time zone.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Select,
    String,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
    type_coerce,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql import ClauseElement, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from flowzz.errors import Permanent
from flowzz.plugins.contributions import DataSource
from flowzz_report.conditions import Condition, as_sql
from flowzz_report.period import ZONE, Period
from flowzz_report.topics import Topic

FETCHED_AT_ONCE = 2_000
HOME_CURRENCY = "BRL"
"""What an amount is in whose source names no currency."""


class Rows:
    """``c`` holds the columns to query. ``since`` begins earlier than the period, for what came before it.

    ``kept`` is for rows that many queries go over: the sources' selects are then worked out once, into a temporary
    table, instead of once a query. It is gone when the session's transaction is rolled back. ``only`` names the columns
    that anybody will ask for, ``month`` among them (default: all); the others are then not carried along.
    """

    def __init__(
        self,
        session: Session,
        topic: Topic,
        sources: Sequence[DataSource],
        company_id: str,
        period: Period,
        *,
        where: Mapping[str, Condition] | None = None,
        since: datetime | None = None,
        kept: bool = False,
        only: Collection[str] | None = None,
    ) -> None:
        self.session = session
        self.topic = topic
        self._period = period
        given = union_of(topic, sources, company_id, since or period.start, period.end)
        moment = given.c[topic.moment]
        parts = [given.c[name] for name in topic.columns if name != "currency" and (only is None or name in only)]
        if only is None or "month" in only:
            parts.append(self._month(moment).label("month"))
        inner = select(
            *parts,
            func.coalesce(given.c.currency, HOME_CURRENCY).label("currency"),
            self._day(moment).label("day"),
        )
        for name, condition in (where or {}).items():
            if name in topic.columns:
                inner = inner.where(as_sql(topic.columns[name], given.c[name], condition))
        self._from: FromClause = inner.subquery(f"{topic.name}_rows")
        if kept:
            self._from = _kept(session, inner)
        self.c = self._from.c
        self._only: tuple[ColumnElement[bool], ...] = ()

    def restrict(self, *only: ColumnElement[bool]) -> None:
        """From now on only rows for which all of it is true."""
        self._only += only

    def query(self, *columns: ColumnElement[Any]) -> Select[Any]:
        return select(*columns).select_from(self._from).where(*self._only)

    def all(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.session.execute(query)]

    def one(self, query: Select[Any]) -> tuple[Any, ...]:
        return tuple(self.session.execute(query).one())

    def stream(self, query: Select[Any]) -> Iterator[tuple[Any, ...]]:
        """Row by row, a few thousand in memory at a time."""
        for part in self.session.execute(query, execution_options={"yield_per": FETCHED_AT_ONCE}).partitions():
            for row in part:
                yield tuple(row)

    def currencies(self) -> list[tuple[str, int]]:
        """Each currency with its number of rows, the most frequent first."""
        rows = func.count()
        found = self.all(self.query(self.c.currency, rows).group_by(self.c.currency).order_by(rows.desc()))
        return [(currency, count) for currency, count in found]

    @property
    def _is_sqlite(self) -> bool:
        return self.session.get_bind().dialect.name == "sqlite"

    def _day(self, moment: ColumnElement[Any]) -> ColumnElement[Any]:
        if self.topic.columns[self.topic.moment].kind == "date":
            return moment
        if self._is_sqlite:
            return type_coerce(self._by_offset(moment, "%Y-%m-%d"), Date)
        return cast(_local(moment), Date)

    def _month(self, moment: ColumnElement[Any]) -> ColumnElement[Any]:
        on_days = self.topic.columns[self.topic.moment].kind == "date"
        if self._is_sqlite:
            text = func.strftime("%Y-%m-01", moment) if on_days else self._by_offset(moment, "%Y-%m-01")
            return type_coerce(text, Date)
        return cast(func.date_trunc("month", moment if on_days else _local(moment)), Date)

    def _by_offset(self, moment: ColumnElement[Any], form: str) -> ColumnElement[Any]:
        """SQLite is told the offset from UTC of each part of the period; see Period.offsets."""
        offsets = self._period.offsets()
        texts = [func.strftime(form, moment, f"{offset:+d} seconds", type_=String) for _, offset in offsets]
        if len(texts) == 1:
            return texts[0]
        known = [(moment < until, text) for (until, _), text in zip(offsets[:-1], texts[:-1], strict=True)]
        return case(*known, else_=texts[-1])


class _Keep(Executable, ClauseElement):
    """``CREATE TEMPORARY TABLE … AS`` a select, with its bound values."""

    inherit_cache = False

    def __init__(self, name: str, query: Select[Any]) -> None:
        self.name = name
        self.query = query


@compiles(_Keep)
def _compile_keep(element: _Keep, compiler: SQLCompiler, **options: Any) -> str:
    return f"CREATE TEMPORARY TABLE {element.name} AS {compiler.process(element.query, **options)}"


def _kept(session: Session, query: Select[Any]) -> FromClause:
    """A temporary table of what the query gives, with its columns' types. It needs no write lock of the database."""
    name = f"report_rows_{uuid.uuid4().hex}"
    session.execute(_Keep(name, query))
    return table(name, *(column(each.name, each.type) for each in query.selected_columns))


def _local(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.timezone(literal_column(f"'{ZONE.key}'"), moment, type_=DateTime())


def union_of(
    topic: Topic, sources: Sequence[DataSource], company_id: str, start: datetime, end: datetime
) -> FromClause:
    """What all sources give, with the topic's columns.

    Raises Permanent, naming the source and the column, when one does not give what the topic asks for.
    """
    selects = []
    for source in sources:
        try:
            given = source.select(company_id, start, end).subquery()
        except Exception as error:
            raise Permanent(
                f"the data source {source.name} of {source.source or source.plugin} failed: {error}"
            ) from error
        missing = [name for name in topic.columns if name not in given.c]
        if missing:
            raise Permanent(f"the data source {source.name} lacks the column {missing[0]!r} of topic {topic.name}")
        selects.append(select(*(given.c[name] for name in topic.columns)))
    return (selects[0] if len(selects) == 1 else union_all(*selects)).subquery(f"{topic.name}_given")


def previous(period: Period) -> Period:
    """As many days, just before."""
    return Period(period.first - timedelta(days=period.days), period.first - timedelta(days=1))

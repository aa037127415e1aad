"""Data that a plugin lets other plugins read: declared, typed, and queried where it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from sqlalchemy import Select

ColumnKind = Literal["text", "integer", "decimal", "money", "boolean", "date", "datetime"]
COLUMN_KINDS: tuple[str, ...] = get_args(ColumnKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataColumn:
    """One column of a data source.

    - ``name``: the label it has in the select; lower case, digits and ``_``.
    - ``kind``: what its values are; ``decimal`` and ``money`` are Decimal, ``datetime`` is aware, in UTC. NULL: absent.
    - ``title``, ``description``: for people.
    """

    name: str
    title: str
    kind: ColumnKind
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Rows that a plugin lets others read, whoever they are: ``ctx.data_sources(topic)`` finds them.

    - ``name``: unique, ``plugin.what``. ``topic`` says what the rows are about; several sources may have the same.
    - ``select(company_id, start, end)``: a select of the company's rows from ``start`` to before ``end`` (aware, UTC)
      whose columns are labelled as in ``columns``, in that order. It only builds the statement, for SQLite and
      PostgreSQL alike; the reader wraps it as a subquery, filters, groups and streams it in a session of its own.
    """

    name: str
    plugin: str
    topic: str
    title: str
    columns: tuple[DataColumn, ...]
    select: Callable[[str, datetime, datetime], Select[Any]]
    source: str = field(default="", compare=False)

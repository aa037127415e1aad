"""Many rows in one statement, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

ROWS_A_STATEMENT = 250
"""An order has some 60 columns; both databases take at least 32,766 values a statement."""

Row = Mapping[str, Any]


def upsert(
    session: Session, table: Table, rows: Sequence[Row], key: Sequence[str], *, newer_by: str | None = None
) -> None:
    """Insert ``rows``, or overwrite the ones that have the same ``key``; all rows name the same columns.

    With ``newer_by`` a row is overwritten only by one whose column of that name is not less.

    One statement for each ``ROWS_A_STATEMENT`` rows. Two rows of one call must not share a key.
    """
    for part in _parts(rows):
        statement = _insert(session, table, part)
        changed = {name: statement.excluded[name] for name in part[0] if name not in key}
        newer = None if newer_by is None else table.c[newer_by] <= statement.excluded[newer_by]
        session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed, where=newer))


def insert_missing(session: Session, table: Table, rows: Sequence[Row], key: Sequence[str]) -> int:
    """Insert those ``rows`` whose ``key`` is not there yet; how many they were."""
    inserted = 0
    for part in _parts(rows):
        statement = _insert(session, table, part).on_conflict_do_nothing(index_elements=list(key))
        inserted += cast("CursorResult[Any]", session.execute(statement)).rowcount
    return inserted


def _insert(session: Session, table: Table, rows: Sequence[Row]) -> postgresql.Insert | sqlite.Insert:
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table).values(list(rows))
    return sqlite.insert(table).values(list(rows))


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        yield rows[start : start + ROWS_A_STATEMENT]

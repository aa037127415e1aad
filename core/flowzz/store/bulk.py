"""Many rows in one statement, on SQLite and PostgreSQL alike.

The statement names the columns only, so it is compiled once. Asked to return a column, SQLAlchemy sends the rows of a
call as one ``INSERT … VALUES (…), (…)``, and splits it only where a database takes no more values at once. An upsert
asks for nothing: one prepared statement run row by row is faster, on SQLite somewhat, on PostgreSQL (whose driver sends
them in a pipeline, and would have to take a text with thousands of values apart) several times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

Row = Mapping[str, Any]
Names = tuple[str, ...]


def upsert(
    session: Session, table: Table, rows: Sequence[Row], key: Sequence[str], *, newer_by: str | None = None
) -> None:
    """Insert ``rows``, or overwrite the ones that have the same ``key``; all rows name the same columns.

    With ``newer_by`` a row is overwritten only by one whose column of that name is not less. Two rows of one call
    must not share a key.
    """
    if rows:
        statement = _upserting(table, _dialect(session), tuple(rows[0]), tuple(key), newer_by)
        session.execute(statement, list(rows))


def insert_missing(session: Session, table: Table, rows: Sequence[Row], key: Sequence[str]) -> int:
    """Insert those ``rows`` whose ``key`` is not there yet; how many they were."""
    return len(inserted(session, table, rows, key, next(iter(table.primary_key)).name))


def inserted(session: Session, table: Table, rows: Sequence[Row], key: Sequence[str], column: str) -> Sequence[Any]:
    """Insert those ``rows`` whose ``key`` is not there yet; ``column`` of each of them, in no certain order."""
    if not rows:
        return ()
    return session.scalars(_filling(table, _dialect(session), tuple(key), column), list(rows)).all()


@lru_cache
def _upserting(table: Table, dialect: str, columns: Names, key: Names, newer_by: str | None) -> Executable:
    statement = _insert(table, dialect)
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    newer = None if newer_by is None else table.c[newer_by] <= statement.excluded[newer_by]
    return statement.on_conflict_do_update(index_elements=list(key), set_=changed, where=newer)


@lru_cache
def _filling(table: Table, dialect: str, key: Names, column: str) -> ReturningInsert[Any]:
    return _insert(table, dialect).on_conflict_do_nothing(index_elements=list(key)).returning(table.c[column])


def _insert(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name

"""The way to the database: SQLite in the home folder, or PostgreSQL; how each is opened, and sessions on it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Row, Select, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from flowzz.errors import ConfigurationError
from flowzz.settings import Settings
from flowzz.store.group_commit import GroupCommit
from flowzz.store.private_files import exclusive, private_file

Result = TypeVar("Result")

BUSY_TIMEOUT_MS = 15_000
"""How long an SQLite statement waits for another process's write, in milliseconds."""

CONNECT_TIMEOUT_S = 5
MOST_CONNECTIONS, LEAST_KEPT, POOL_TIMEOUT_S = 25, 5, 30
"""Of one process: open at the same time, and kept open when nobody uses them. As many are kept as jobs run at the same
time, where these bounds allow: a new connection costs more than what most jobs ask of it."""
BEGIN_MODE = "flowzz_sqlite_begin"
ACCEPTED = "postgresql://user:password@host/database or sqlite:////absolute/path/to/file"


class Sessions:
    """An engine, and the sessions on it. The base of every part of the store; safe to use from many threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reader = engine.execution_options(**{BEGIN_MODE: "DEFERRED"})
        self._glancer = engine.execution_options(**{BEGIN_MODE: None})
        self._writing = threading.Lock()
        self._group = GroupCommit(self.session)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that commits when the block ends and rolls back when it raises.

        On SQLite it holds the database's one write lock from its first statement on (so that reading and then
        writing can never fail with "database is locked" in the middle). Keep it short: no upstream call, no
        waiting and no second session inside.
        """
        with self._turn(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def write(self, work: Callable[[Session], Result]) -> Result:
        """What ``work`` returns, committed. For short writes of many threads, which SQLite commits together.

        ``work`` is a few statements that could be run again from the start: it may be rolled back and repeated, on
        SQLite also because another thread's failed beside it. It returns plain values, keeps nothing of the session,
        and calls nothing that waits. Raises what ``work`` raises, and OperationalError like ``session``.
        """
        if self.engine.dialect.name == "sqlite":
            return self._group.run(work)
        with self.session() as session:
            return work(session)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """On SQLite, one thread of this process at a time.

        SQLite's own way to wait for its lock is to sleep for up to 100 ms and look again, while the lock lies free;
        a thread that waits here goes on at once, and with the connection that the one before it gave back. Other
        processes still meet at SQLite's lock, and whoever had no turn in time tries there too, which then says so.
        """
        if self.engine.dialect.name != "sqlite":
            yield
            return
        is_ours = self._writing.acquire(timeout=BUSY_TIMEOUT_MS / 1000)
        try:
            yield
        finally:
            if is_ours:
                self._writing.release()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """A session that only reads; on SQLite it neither waits for a writer nor keeps one waiting."""
        with Session(self._reader, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def snapshot(self, *, temporary: bool = False) -> Iterator[Session]:
        """A session that only reads, and sees the database throughout as it was at its first statement.

        For reading much, and for figures that must agree with each other. It may take long: on SQLite it neither
        waits for a writer nor keeps one waiting, on PostgreSQL it is a read-only REPEATABLE READ transaction. With
        ``temporary`` it may make temporary tables, which PostgreSQL counts as writing: roll it back in the end.
        """
        with self._reading() as session:
            if self.engine.dialect.name == "postgresql":
                session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": not temporary}
                )
            yield session

    def _look(self, query: Select[Any], given: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """What one statement finds: on SQLite without a transaction of its own, which it does not need."""
        with self._glancer.connect() as connection:
            return connection.execute(query, given).all()

    def ping(self) -> bool:
        """True when the database answers a query; it takes 5 s at most to say that PostgreSQL does not."""
        try:
            with self._reader.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def close(self) -> None:
        """Close the pooled connections. Calling it again does nothing."""
        self.engine.dispose()


def open_engine(settings: Settings) -> Engine:
    """The engine that the settings ask for. Connects to nothing yet, but makes SQLite's file (0600).

    Raises ConfigurationError, without the URL's password, when DATABASE_URL is neither PostgreSQL nor an SQLite
    file, or its driver is missing.
    """
    url = _url(settings)
    kept = min(max(LEAST_KEPT, settings.concurrency), MOST_CONNECTIONS)
    pool = {"pool_size": kept, "max_overflow": MOST_CONNECTIONS - kept, "pool_timeout": POOL_TIMEOUT_S}
    return _sqlite_engine(url, pool) if url.get_backend_name() == "sqlite" else _postgres_engine(url, pool)


def sqlite_file(engine: Engine) -> Path | None:
    """The file of an SQLite engine; None for PostgreSQL."""
    return Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None


def _url(settings: Settings) -> URL:
    if settings.database_url is None:
        return URL.create("sqlite", database=str(settings.data_folder / "flowzz.db"))
    given = settings.database_url.get_secret_value().strip()
    if given.startswith("postgres://"):
        given = given.replace("postgres://", "postgresql://", 1)
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"DATABASE_URL: expected {ACCEPTED}; it could not be read as a URL") from None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite") and _is_file(url.database):
        return url.set(drivername="sqlite", database=str(Path(url.database or "").expanduser().resolve()))
    raise ConfigurationError(f"DATABASE_URL: expected {ACCEPTED}; got the kind {url.drivername!r}")


def _is_file(database: str | None) -> bool:
    # An SQLite in memory would be another, empty one for each process and thread.
    return bool(database) and database != ":memory:" and not str(database).startswith("file:")


def _sqlite_engine(url: URL, pool: Mapping[str, int]) -> Engine:
    file = Path(url.database or "")
    try:
        with exclusive(file.with_name(f"{file.name}.lock")):
            private_file(file)
            _switch_to_wal(file)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"the SQLite file {file} cannot be opened: {error}") from None
    engine = create_engine(url, hide_parameters=True, **pool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _switch_to_wal(file: Path) -> None:
    # The mode is kept in the file. SQLite answers "locked" at once when two processes switch together, whatever the
    # busy timeout says; hence under the lock and not in each connection.
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # No isolation level: Python's own implicit BEGIN would leave DDL and reads outside the transaction.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys=ON")
    # FULL: a webhook that we answered with 2xx is still there after a power cut.
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get(BEGIN_MODE, "IMMEDIATE")
    if mode is not None:
        connection.exec_driver_sql(f"BEGIN {mode}")


def _postgres_engine(url: URL, pool: Mapping[str, int]) -> Engine:
    try:
        return create_engine(
            url,
            hide_parameters=True,
            **pool,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "flowzz"},
        )
    except (ImportError, NoSuchModuleError):
        raise ConfigurationError(
            "DATABASE_URL names PostgreSQL, whose driver is missing; install it with: pip install 'flowzz[postgres]'"
        ) from None

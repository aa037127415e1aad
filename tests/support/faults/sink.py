"""Effects of handlers, kept outside the Redis under test: SQLite with a write-ahead log, so a kill -9 loses no row.

A handler writes ``start`` when it begins, ``commit`` for its effect (a unique key: the second one is refused, as by an
upstream that honours idempotency keys) and ``end`` when it returns or raises.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, job_id TEXT, execution TEXT, attempt INTEGER, pid INTEGER,
    started_mono REAL, started_wall REAL, ended_mono REAL, ended_wall REAL);
CREATE INDEX IF NOT EXISTS runs_of ON runs (job_id);
CREATE TABLE IF NOT EXISTS commits (
    key TEXT PRIMARY KEY, job_id TEXT, execution TEXT, wall REAL, refused INTEGER DEFAULT 0) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One start of a handler. Times are of the machine's monotonic clock; ``ended`` is None for what was killed."""

    job_id: str
    execution: str
    attempt: int
    pid: int
    started: float
    ended: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """An effect; ``refused`` counts the tries after the first one."""

    key: str
    job_id: str
    execution: str
    refused: int


class Sink:
    """The file at ``path``, made when it is missing. Any number of processes may write."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.exists():
            with closing(self._open()) as db:
                db.executescript("PRAGMA journal_mode = WAL;" + SCHEMA)

    @contextmanager
    def running(self, job_id: str, execution: str, attempt: int) -> Iterator[None]:
        """A run, from its start to its end, however it ends."""
        started = (job_id, execution, attempt, os.getpid(), time.monotonic(), time.time())
        columns = "job_id, execution, attempt, pid, started_mono, started_wall"
        run = self._write(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?)", *started)
        try:
            yield
        finally:
            ended = (time.monotonic(), time.time(), run)
            self._write("UPDATE runs SET ended_mono = ?, ended_wall = ? WHERE run = ?", *ended)

    def commit(self, key: str, job_id: str, execution: str) -> None:
        """The effect itself; once a key."""
        self._write(
            "INSERT INTO commits VALUES (?, ?, ?, ?, 0) ON CONFLICT (key) DO UPDATE SET refused = refused + 1",
            *(key, job_id, execution, time.time()),
        )

    def runs(self, job_id: str | None = None) -> list[Run]:
        """Every run, in the order of their starts."""
        query = "SELECT job_id, execution, attempt, pid, started_mono, ended_mono FROM runs"
        rows = self._read(f"{query} WHERE ? IS NULL OR job_id = ? ORDER BY started_mono", job_id, job_id)
        return [
            Run(job_id=row[0], execution=row[1], attempt=row[2], pid=row[3], started=row[4], ended=row[5])
            for row in rows
        ]

    def commits(self) -> list[Commit]:
        rows = self._read("SELECT key, job_id, execution, refused FROM commits")
        return [Commit(key=row[0], job_id=row[1], execution=row[2], refused=row[3]) for row in rows]

    def clear(self) -> None:
        """Forget everything; for the next round of a sweep."""
        self._write("DELETE FROM runs")
        self._write("DELETE FROM commits")

    def _open(self) -> sqlite3.Connection:
        # A process killed right after the commit has lost nothing: only a power cut would need the sync.
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        return db

    def _write(self, statement: str, *values: object) -> int:
        with closing(self._open()) as db:
            return db.execute(statement, values).lastrowid or 0

    def _read(self, query: str, *values: object) -> list[tuple]:
        with closing(self._open()) as db:
            return db.execute(query, values).fetchall()

"""Short writes of many threads, committed together: who gets what when one of them, or the commit, fails."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from flowzz.settings import Settings
from flowzz.store import Store
from flowzz.store.group_commit import GroupCommit
from support.waiting import eventually

Work = Callable[[Session], object]
SOON_S = 60


@pytest.fixture
def sqlite(home: Path) -> Iterator[Store]:
    store = Store.open(Settings.load(home=home))
    with store.session() as session:
        session.execute(text("CREATE TABLE notes (n INTEGER PRIMARY KEY)"))
        session.execute(text("CREATE TABLE answers (n INTEGER REFERENCES notes (n) DEFERRABLE INITIALLY DEFERRED)"))
    yield store
    store.close()


def note(number: int) -> Work:
    def work(session: Session) -> int:
        session.execute(text("INSERT INTO notes VALUES (:n)"), {"n": number})
        return number

    return work


def notes(store: Store) -> list[int]:
    with store.snapshot() as session:
        return list(session.scalars(text("SELECT n FROM notes ORDER BY n")))


def together(store: Store, *works: Work) -> list[Future[object]]:
    """What became of ``works`` that formed one group: they lined up while the work before them took its time."""
    group, begun, go = GroupCommit(store.session), Event(), Event()

    def first(session: Session) -> None:
        begun.set()
        assert go.wait(SOON_S)

    with ThreadPoolExecutor(len(works) + 1) as threads:
        before = threads.submit(group.run, first)
        assert begun.wait(SOON_S)
        told = []
        for place, work in enumerate(works, 1):  # one by one: the first of them leads
            told.append(threads.submit(group.run, work))
            eventually(lambda place=place: group.waiting == place)  # type: ignore[misc]
        go.set()
        before.result(SOON_S)
    assert group.waiting == 0
    return told


def transactions(store: Store) -> list[str]:
    """Every statement that begins one from now on."""
    begun: list[str] = []

    def look(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("BEGIN"):
            begun.append(statement)

    event.listen(store.engine, "before_cursor_execute", look)
    return begun


def test_a_write_is_committed_when_it_returns(store: Store) -> None:
    with store.session() as session:
        session.execute(text("CREATE TABLE notes (n INTEGER PRIMARY KEY)"))
    assert store.write(note(7)) == 7
    assert notes(store) == [7]
    with pytest.raises(IntegrityError):
        store.write(note(7))
    assert store.write(note(8)) == 8
    assert notes(store) == [7, 8]


def test_threads_that_wait_are_committed_together(sqlite: Store) -> None:
    begun = transactions(sqlite)
    told = together(sqlite, *[note(number) for number in range(1, 9)])
    assert [one.result() for one in told] == list(range(1, 9))
    assert notes(sqlite) == list(range(1, 9))
    assert begun.count("BEGIN IMMEDIATE") == 2  # of the work before them, and theirs


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_fails_spoils_nobody_elses(sqlite: Store, place: int) -> None:
    def fail(session: Session) -> None:
        note(4711)(session)
        raise LookupError("mine alone")

    works = [note(1), note(2)]
    works.insert(place, fail)
    told = together(sqlite, *works)
    failed = told.pop(place)
    with pytest.raises(LookupError, match="mine alone"):
        failed.result()
    assert [one.result() for one in told] == [1, 2]
    assert notes(sqlite) == [1, 2]


def test_a_statement_that_the_database_refuses_fails_alone(sqlite: Store) -> None:
    first, refused, last = together(sqlite, note(1), note(1), note(2))
    with pytest.raises(IntegrityError):
        refused.result()
    assert (first.result(), last.result()) == (1, 2)
    assert notes(sqlite) == [1, 2]


def test_a_commit_that_fails_is_told_to_all_of_the_group(sqlite: Store) -> None:
    def answer_nobody(session: Session) -> None:
        session.execute(text("INSERT INTO answers VALUES (99)"))  # the constraint is looked at by the commit

    told = together(sqlite, note(1), answer_nobody, note(2))
    for one in told:
        with pytest.raises(IntegrityError):
            one.result()
    assert notes(sqlite) == []
    assert sqlite.write(note(3)) == 3


def test_all_in_line_are_told_when_another_process_holds_the_database(sqlite: Store, home: Path) -> None:
    event.listen(sqlite.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
    sqlite.engine.dispose()
    group = GroupCommit(sqlite.session)
    with closing(sqlite3.connect(home / "flowzz.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(3) as threads:
            told = [threads.submit(group.run, note(number)) for number in (1, 2, 3)]
        other.execute("ROLLBACK")
    for one in told:
        with pytest.raises(OperationalError, match="locked"):
            one.result()
    assert notes(sqlite) == []
    assert group.run(note(4)) == 4


def test_a_leader_that_is_stopped_leaves_the_line_to_the_next(sqlite: Store) -> None:
    def stop(session: Session) -> None:
        raise KeyboardInterrupt

    stopped, beside = together(sqlite, stop, note(1))
    with pytest.raises(KeyboardInterrupt):
        stopped.result()
    with pytest.raises(RuntimeError, match="was stopped"):
        beside.result()
    assert notes(sqlite) == []
    assert together(sqlite, note(2), note(3))[1].result() == 3


def test_many_threads_lose_nothing(sqlite: Store) -> None:
    def count(place: int) -> list[object]:
        return [sqlite.write(note(place * 1000 + number)) for number in range(50)]

    with ThreadPoolExecutor(16) as threads:
        told = [number for numbers in threads.map(count, range(16)) for number in numbers]
    assert notes(sqlite) == sorted(told)  # type: ignore[type-var]
    assert len(told) == 800


def test_what_was_told_to_be_written_outlives_a_kill(sqlite: Store, home: Path) -> None:
    command = [sys.executable, "-m", "support.group_writer", str(home)]
    folder = Path(__file__).parents[1]
    for place in range(3):
        with subprocess.Popen([*command, str(place)], cwd=folder, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(200)]
            writer.send_signal(signal.SIGKILL)
            told += [int(line) for line in writer.stdout if line.endswith("\n")]
        assert set(told) <= set(notes(sqlite))

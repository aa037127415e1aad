"""Group commit: short writes of many threads in one transaction, so that each pays for a part of a commit only.

    threads: work, work, work ──▶ line ──▶ the first leads: BEGIN, all that stand there by then, COMMIT ──▶ results

While one group commits, the next one lines up; its first leads it. A thread that waits does nothing in the meantime:
it neither wakes to look at a lock nor hands the interpreter's lock to and fro between the statements of its own
transaction, which is what most of a short SQLite transaction's time goes into when threads share a process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy.orm import Session

Result = TypeVar("Result")


class GroupCommit:
    """Runs pieces of work in transactions that ``session`` opens, several at once. Safe to use from many threads."""

    def __init__(self, session: Callable[[], AbstractContextManager[Session]]) -> None:
        self._session = session
        self._guard = threading.Lock()
        self._line: list[_Asked] = []
        self._is_led = False

    @property
    def waiting(self) -> int:
        """How many pieces of work stand in line just now."""
        with self._guard:
            return len(self._line)

    def run(self, work: Callable[[Session], Result]) -> Result:
        """What ``work`` returns, once its transaction is committed; raises what ``work`` or the commit raises.

        When one of a group fails, the group is rolled back and each is run again in a transaction of its own, so one
        that fails spoils nobody else's; when the commit itself fails, all of the group are told.
        """
        asked = _Asked(work)
        with self._guard:
            self._line.append(asked)
            leads, self._is_led = not self._is_led, True
        if not leads:
            asked.called.acquire()
        if not asked.is_settled:
            self._lead(asked)
        result: Result = asked.outcome()
        return result

    def _lead(self, leader: _Asked) -> None:
        group: list[_Asked] = []
        try:
            self._settle(group)
        except BaseException as error:
            # This thread is being stopped. What became of the others' work is not known for certain.
            for asked in group:
                asked.fail(RuntimeError(f"the thread that committed for several was stopped: {error!r}"))
            raise
        finally:
            self._pass_on(leader, group)

    def _settle(self, group: list[_Asked]) -> None:
        is_committing = False
        try:
            with self._session() as session:
                session.connection()  # begins, and so waits for whoever writes just now, before the line is looked at
                group.extend(self._all_in_line())
                results = [_performed(asked, session) for asked in group]
                is_committing = True
        except Exception as error:  # noqa: BLE001 - it is raised in the threads that it belongs to
            has_begun = bool(group)
            group.extend(() if has_begun else self._all_in_line())
            for asked in group:
                if has_begun and not is_committing and len(group) > 1:
                    self._alone(asked)
                else:
                    asked.fail(error)
        else:
            for asked, result in zip(group, results, strict=True):
                asked.succeed(result)

    def _alone(self, asked: _Asked) -> None:
        try:
            with self._session() as session:
                result = _performed(asked, session)
        except Exception as error:  # noqa: BLE001 - likewise
            asked.fail(error)
        else:
            asked.succeed(result)

    def _all_in_line(self) -> Sequence[_Asked]:
        with self._guard:
            group, self._line = self._line, []
        return group

    def _pass_on(self, leader: _Asked, group: Sequence[_Asked]) -> None:
        with self._guard:
            # It still stands there when its thread was stopped before it looked at the line.
            self._line = [asked for asked in self._line if asked is not leader]
            following = self._line[0] if self._line else None
            self._is_led = following is not None
        for asked in group:
            if asked is not leader:
                asked.called.release()
        if following is not None:
            following.called.release()


class _Asked:
    """A piece of work, and what became of it."""

    __slots__ = ("_error", "_result", "called", "is_settled", "work")

    def __init__(self, work: Callable[[Session], Any]) -> None:
        self.work = work
        self.called = threading.Lock()
        self.called.acquire()
        self.is_settled = False
        self._result: Any = None
        self._error: BaseException | None = None

    def succeed(self, result: Any) -> None:
        self._result, self.is_settled = result, True

    def fail(self, error: BaseException) -> None:
        self._error, self.is_settled = error, True

    def outcome(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


def _performed(asked: _Asked, session: Session) -> Any:
    result = asked.work(session)
    session.flush()  # what an ORM object would raise at the commit belongs to this work, not to the group
    return result

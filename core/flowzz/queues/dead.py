"""Dead letters: jobs that failed for good, or lost their worker too often.

A queue's dead letters are its ``rq:failed:<queue>``, RQ's FailedJobRegistry. Whatever else fails, requeues or deletes a
job (a stock worker, ``rq requeue``) does so there, and an index over all queues could only disagree with it; each
registry is bounded, so looking through all of them is cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowzz.clock import to_rq
from flowzz.jobs.state import JobState
from flowzz.queues.engine import MOST_PER_PAGE, Queues
from flowzz.queues.records import JobPage, JobRecord

BATCH = 100
"""Jobs that one script call moves: all of the batch, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFilter:
    """Which dead jobs; what is None admits all. ``error`` is the type's name (``ValueError``).

    ``since`` and ``until`` (aware) bound when the job died, both included.
    """

    queue: str | None = None
    job: str | None = None
    company: str | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """True when it admits everything."""
        return self == DeadFilter()

    def admits(self, record: JobRecord) -> bool:
        """Whether the job is one of them; a job without a time of death passes no bound of time."""
        error = record.error.type if record.error else ""
        wanted = ((self.queue, record.queue), (self.job, record.name), (self.company, record.company_id))
        if any(want is not None and want != has for want, has in (*wanted, (self.error, error))):
            return False
        if self.since is None and self.until is None:
            return True
        died = record.ended_at
        return (
            died is not None
            and (self.since is None or died >= self.since)
            and (self.until is None or died <= self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadReport:
    """``matched`` were dead when looked at; ``moved`` of them were replayed or removed by this call.

    ``until`` is when the latest of them died: the same request with it as bound touches no job that died later, so it
    may be repeated after a crash without running anything twice. None when nothing matched.
    """

    matched: int
    moved: int
    until: datetime | None


class DeadLetters:
    """The dead jobs of all queues. Every method raises QueueUnavailable when Redis is away."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def page(self, only: DeadFilter = DeadFilter(), *, offset: int = 0, limit: int = 50) -> JobPage:
        """Those that the filter admits, the latest death first; ``limit`` at most 500."""
        offset, limit = max(0, offset), min(max(1, limit), MOST_PER_PAGE)
        found = self._find(only)
        return JobPage(found[offset : offset + limit], len(found), offset, limit)

    def replay(self, only: DeadFilter = DeadFilter(), *, ids: Sequence[str] | None = None) -> DeadReport:
        """Let them wait again with all their attempts; history, log, checkpoint and finished steps stay.

        ``ids`` narrows further. In batches of 100, each atomic: after a crash, what was not replayed is still dead.
        """
        return self._move("replay", "replayed", only, ids)

    def remove(self, only: DeadFilter = DeadFilter(), *, ids: Sequence[str] | None = None) -> DeadReport:
        """Delete them with their history; batches as in ``replay``."""
        return self._move("remove", "", only, ids)

    def _move(self, action: str, note: str, only: DeadFilter, ids: Sequence[str] | None) -> DeadReport:
        wanted = None if ids is None else set(ids)
        found = [record for record in self._find(only) if wanted is None or record.id in wanted]
        found.reverse()  # who died first waits first
        moved = 0
        for start in range(0, len(found), BATCH):
            batch = [(r.id, to_rq(r.ended_at) if r.ended_at else "") for r in found[start : start + BATCH]]
            moved += sum(self._queues.transitions.move_dead(action, note, batch))
        deaths = [record.ended_at for record in found if record.ended_at]
        return DeadReport(matched=len(found), moved=moved, until=max(deaths, default=None))

    def _find(self, only: DeadFilter) -> list[JobRecord]:
        names: Iterable[str] = self._queues.queue_names() if only.queue is None else [only.queue]
        found = [record for name in names for record in self._of(name) if only.admits(record)]
        return sorted(found, key=lambda r: r.ended_at.timestamp() if r.ended_at else 0, reverse=True)

    def _of(self, queue: str) -> Iterator[JobRecord]:
        offset = 0
        while True:
            page = self._queues.jobs(queue, JobState.FAILED, offset=offset, limit=MOST_PER_PAGE)
            yield from (record for record in page.items if record.state is JobState.FAILED)
            offset += MOST_PER_PAGE
            if offset >= page.total:
                return

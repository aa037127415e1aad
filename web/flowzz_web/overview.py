"""What the admin's pages show, put together from queues, plugins and the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import Schedule
from flowzz.plugins.host import PluginHost
from flowzz.plugins.states import PluginRecord
from flowzz.queues.records import QueueStats
from flowzz.queues.schedules import TickRecord
from flowzz.scheduling import EffectiveSchedule, Schedules
from flowzz.scheduling.scheduler import upcoming_ticks
from flowzz.store import Store

TICKS_SHOWN = 5
LATEST = datetime.max.replace(tzinfo=UTC)

TABS: Sequence[JobState] = (
    JobState.WAITING,
    JobState.ACTIVE,
    JobState.DELAYED,
    JobState.FAILED,
    JobState.COMPLETED,
    JobState.PARKED,
    JobState.DEFERRED,
    JobState.CANCELED,
)


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue: its counts and whether it is healthy, by the same rule as ``/health/queues``."""

    stats: QueueStats
    healthy: bool

    def count(self, state: JobState | str) -> int:
        """Jobs in that state; in a paused queue the waiting ones are those that are held back."""
        state = JobState(state)
        if state is JobState.WAITING:
            return self.stats.waiting + self.stats.paused
        return int(getattr(self.stats, state.value))


@dataclass(frozen=True, slots=True)
class Total:
    """All queues together."""

    queues: int
    unhealthy: int
    paused: int
    waiting: int
    active: int
    delayed: int
    failed: int
    completed: int
    parked: int


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as it counts; ``next_at`` is None while it is paused. ``ticks`` are the last ones, newest first."""

    effective: EffectiveSchedule
    next_at: datetime | None
    ticks: list[TickRecord]

    @property
    def schedule(self) -> Schedule:
        return self.effective.schedule


@dataclass(frozen=True, slots=True)
class PluginRow:
    record: PluginRecord
    queues: tuple[str, ...]


def queue_rows(flowzz: Flowzz) -> list[QueueRow]:
    """Every queue, by name. Raises QueueUnavailable when Redis is away."""
    healthy = {queue["name"]: queue["healthy"] for queue in flowzz.health()["queues"]}
    return [QueueRow(stats, healthy.get(stats.name, False)) for stats in flowzz.stats()]


def total(rows: Iterable[QueueRow]) -> Total:
    rows = list(rows)

    def of(state: JobState) -> int:
        return sum(row.count(state) for row in rows)

    return Total(
        queues=len(rows),
        unhealthy=sum(not row.healthy for row in rows),
        paused=sum(row.stats.is_paused for row in rows),
        waiting=of(JobState.WAITING),
        active=of(JobState.ACTIVE),
        delayed=of(JobState.DELAYED),
        failed=of(JobState.FAILED),
        completed=of(JobState.COMPLETED),
        parked=of(JobState.PARKED),
    )


def schedule_rows(flowzz: Flowzz) -> list[ScheduleRow]:
    """The schedules with the next and the last ticks of each, the soonest first, paused ones last."""
    known = Schedules(flowzz).all()
    upcoming = dict(upcoming_ticks(known, now()))
    rows = [
        ScheduleRow(one, upcoming.get(one.definition.name), flowzz.queues.ticks(one.definition.name, TICKS_SHOWN))
        for one in known
    ]
    return sorted(rows, key=lambda row: (row.next_at or LATEST, row.schedule.name))


def plugin_rows(host: PluginHost) -> list[PluginRow]:
    """Each plugin with the queues its jobs wait in."""
    return [
        PluginRow(record, tuple(sorted({host.jobs[name].queue for name in record.jobs if name in host.jobs})))
        for record in host.records
    ]


def company_names(store: Store) -> dict[str, str]:
    """Names by id, to show instead of ids."""
    return {company.id: company.name for company in store.companies()}

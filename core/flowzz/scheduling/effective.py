"""A schedule as it counts: the plugin's definition with the run-time edit over it, and what differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from flowzz.errors import ConfigurationError
from flowzz.jobs.cron import next_tick
from flowzz.plugins.contributions import Schedule
from flowzz.queues.schedules import LineEdit, PauseEdit, ScheduleState


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that was edited. ``was`` is the definition's when it was edited, if the plugin has changed it since."""

    field: str
    defined: str
    edited: str
    was: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """A schedule as programs read it. ``next_at`` is None while it is paused, and when its line cannot be read."""

    name: str
    job: str
    description: str
    cron: str
    timezone: str
    spread_s: float
    missed: str
    missed_limit: int
    overlap: str
    next_at: datetime | None
    paused: PauseEdit | None
    edited: LineEdit | None
    differences: list[Difference]


@dataclass(frozen=True, slots=True)
class EffectiveSchedule:
    """``definition`` is the plugin's; ``schedule`` is what the schedulers go by."""

    definition: Schedule
    state: ScheduleState

    @property
    def schedule(self) -> Schedule:
        line = self.state.line
        if line is None:
            return self.definition
        own = self.definition
        return replace(own, cron=line.cron or own.cron, timezone=line.timezone or own.timezone)

    @property
    def is_paused(self) -> bool:
        return self.state.paused is not None

    @property
    def is_edited(self) -> bool:
        return self.state.line is not None

    @property
    def differences(self) -> list[Difference]:
        """Cron line and time zone where they are edited; empty when nothing is."""
        line, own = self.state.line, self.definition
        if line is None:
            return []
        values = (
            ("cron", own.cron, line.cron, line.was_cron),
            ("timezone", own.timezone, line.timezone, line.was_timezone),
        )
        return [
            Difference(field=field, defined=defined, edited=edited, was=was if was != defined else None)
            for field, defined, edited, was in values
            if edited is not None
        ]

    def view(self, now: datetime) -> ScheduleView:
        """As it stands at ``now``."""
        schedule = self.schedule
        try:
            next_at = self.next_tick(now)
        except ConfigurationError:
            next_at = None
        return ScheduleView(
            name=schedule.name,
            job=schedule.job,
            description=schedule.description,
            cron=schedule.cron,
            timezone=schedule.timezone,
            spread_s=schedule.spread.total_seconds(),
            missed=schedule.missed.value,
            missed_limit=schedule.missed_limit,
            overlap=schedule.overlap.value,
            next_at=next_at,
            paused=self.state.paused,
            edited=self.state.line,
            differences=self.differences,
        )

    def next_tick(self, after: datetime) -> datetime | None:
        """None while it is paused. Raises ConfigurationError."""
        return None if self.is_paused else next_tick(self.schedule.cron, self.schedule.timezone, after)

"""A scheduler process: waits for the next tick and tries to claim it.

It keeps nothing that it needs. Redis remembers the newest tick claimed of each schedule and the run-time edits, so a
scheduler that starts after an outage sees what was missed, and any number of them may try the same tick: one script
call makes one of them the winner. What it saw there it remembers for one case only: a Redis that came back empty, in
which schedules then go on from the last tick that was seen.
"""

from __future__ import annotations

import os
import socket
import threading
from datetime import UTC, datetime, timedelta

import structlog

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.clock import from_epoch_ms
from flowzz.errors import FlowzzError, QueueUnavailable
from flowzz.jobs.cron import passed_ticks
from flowzz.plugins.contributions import MissedTick, Schedule
from flowzz.queues.epoch import Witness
from flowzz.queues.schedules import FireOutcome
from flowzz.scheduling.effective import EffectiveSchedule
from flowzz.scheduling.schedules import Schedules

log = structlog.get_logger("flowzz.scheduler")

LONGEST_NAP_S = 5.0
"""Edits are seen within this time."""
LATE = timedelta(seconds=5)
"""A tick this late was missed: its schedule's policy says whether it still runs."""

SKEW = timedelta(seconds=2)
"""A machine's clock that differs from Redis's by more is not gone by."""


class Scheduler:
    """Fires the plugins' schedules. ``run`` blocks; ``stop`` may be called from anywhere."""

    def __init__(self, app: Flowzz) -> None:
        self._app = app
        self._schedules = Schedules(app)
        self._stopping = threading.Event()
        self._witness = Witness(app.queues.transitions, f"scheduler.{socket.gethostname()}.{os.getpid()}")
        self._seen_ms: dict[str, int] = {}
        self._skew = timedelta(0)

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> int:
        """Fire until stopped; returns 0."""
        log.info("scheduler started", schedules=sorted(self._app.plugins.schedules))
        while not self._stopping.is_set():
            self._stopping.wait(self.run_due())
        log.info("scheduler stopped")
        return 0

    def run_due(self) -> float:
        """Fire every schedule that is due now; the seconds until the next look (at most 5)."""
        try:
            self._witness.look()
            self._compare_clocks()
            now = self._now()
            known = self._schedules.all()
            for one in known:
                self._run_if_due(one, now)
        except QueueUnavailable as error:
            log.warning("redis is not reachable; ticks wait", error=str(error))
            return 1.0
        upcoming = [tick for _, tick in upcoming_ticks(known, now)]
        return max(0.0, min([LONGEST_NAP_S, *[(tick - self._now()).total_seconds() for tick in upcoming]]))

    def _now(self) -> datetime:
        return clock.now() + self._skew

    def _compare_clocks(self) -> None:
        """Go by Redis's clock, the one that all machines share, when this machine's is wrong; and say so."""
        ahead = self._app.queues.clock_ahead()
        if ahead is None:
            return
        skew = ahead if abs(ahead) > SKEW else timedelta(0)
        if abs(skew - self._skew) > SKEW:
            seconds = round(ahead.total_seconds(), 1)
            log.warning("this machine's clock differs from that of redis; ticks go by redis", redis_ahead_s=seconds)
        self._skew = skew

    def _run_if_due(self, one: EffectiveSchedule, now: datetime) -> None:
        """What goes wrong with one schedule is logged and stops no other."""
        schedule = one.schedule
        try:
            last_ms = one.state.last_tick_ms
            if last_ms is None:
                last_ms = self._seen_ms.get(schedule.name, int(now.timestamp() * 1000))
                self._app.queues.begin_schedule(schedule.name, last_ms)
            self._seen_ms[schedule.name] = last_ms
            if not one.is_paused:
                self._run_passed(one, from_epoch_ms(last_ms), now)
        except QueueUnavailable:
            raise
        except FlowzzError as error:
            log.error("schedule could not be fired", schedule=schedule.name, error=str(error))
        except Exception:
            log.exception("schedule could not be fired", schedule=schedule.name)

    def _run_passed(self, one: EffectiveSchedule, last: datetime, now: datetime) -> None:
        schedule = one.schedule
        most = schedule.missed_limit if schedule.missed is MissedTick.RUN_ALL else 1
        for tick in passed_ticks(schedule.cron, schedule.timezone, last, now, most):
            if now - tick > LATE and schedule.missed is MissedTick.SKIP:
                self._skip(schedule, tick, one.state.revision)
            elif not self._fire(schedule, tick, one.state.revision):
                return

    def _skip(self, schedule: Schedule, tick: datetime, revision: int) -> None:
        tick_ms = int(tick.timestamp() * 1000)
        self._app.queues.transitions.fire(schedule.name, tick_ms, [], how="missed", revision=revision)
        log.warning("tick missed and skipped", schedule=schedule.name, tick=tick.isoformat())

    def _fire(self, schedule: Schedule, tick: datetime, revision: int) -> bool:
        """False when somebody has edited the schedule since we looked; the next look sees the edit."""
        reply = self._app.fire(schedule, tick, revision=revision)
        if reply.outcome is FireOutcome.FIRED:
            log.info("schedule fired", schedule=schedule.name, tick=tick.isoformat(), jobs=reply.jobs)
        elif reply.outcome is FireOutcome.OVERLAPPED:
            log.warning("tick skipped: jobs of an earlier one are open", schedule=schedule.name, tick=tick.isoformat())
        return reply.outcome is not FireOutcome.EDITED


def upcoming_ticks(known: list[EffectiveSchedule], now: datetime) -> list[tuple[str, datetime]]:
    """(schedule, its next tick), soonest first; without those that are paused or whose line cannot be read."""
    ticks = []
    for one in known:
        try:
            tick = one.next_tick(now)
        except FlowzzError as error:
            log.error("schedule has no next tick", schedule=one.definition.name, error=str(error))
            continue
        if tick is not None:
            ticks.append((one.definition.name, tick.astimezone(UTC)))
    return sorted(ticks, key=lambda pair: pair[1])

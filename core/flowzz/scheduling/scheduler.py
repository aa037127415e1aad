"""A scheduler process: waits for the next tick and tries to claim it.

It keeps nothing. Redis remembers the newest tick claimed of each schedule, so a scheduler that starts after an outage
sees what was missed, and any number of them may try the same tick: one script call makes one of them the winner.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import structlog

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.clock import from_epoch_ms
from flowzz.errors import FlowzzError, QueueUnavailable
from flowzz.jobs.cron import latest_tick, next_tick
from flowzz.plugins.contributions import MissedTick, Schedule

log = structlog.get_logger("flowzz.scheduler")

LONGEST_NAP_S = 5.0
LATE = timedelta(seconds=5)
"""A tick this late was missed: its schedule's policy says whether it still runs."""


class Scheduler:
    """Fires the plugins' schedules. ``run`` blocks; ``stop`` may be called from anywhere."""

    def __init__(self, app: Flowzz) -> None:
        self._app = app
        self._schedules = list(app.plugins.schedules.values())
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> int:
        """Fire until stopped; returns 0."""
        log.info("scheduler started", schedules=[schedule.name for schedule in self._schedules])
        while not self._stopping.is_set():
            self._stopping.wait(self.run_due())
        log.info("scheduler stopped")
        return 0

    def run_due(self) -> float:
        """Fire every schedule that is due now; the seconds until the next look (at most 5)."""
        now = clock.now()
        try:
            last = self._last_ticks(now)
            for schedule in self._schedules:
                self._run_if_due(schedule, last[schedule.name], now)
        except QueueUnavailable as error:
            log.warning("redis is not reachable; ticks wait", error=str(error))
            return 1.0
        upcoming = [tick for _, tick in self.next_ticks(now)]
        return max(0.0, min([LONGEST_NAP_S, *[(tick - clock.now()).total_seconds() for tick in upcoming]]))

    def next_ticks(self, now: datetime | None = None) -> list[tuple[str, datetime]]:
        """(schedule, its next tick), soonest first."""
        after = now or clock.now()
        ticks = [(s.name, next_tick(s.cron, s.timezone, after).astimezone(UTC)) for s in self._schedules]
        return sorted(ticks, key=lambda pair: pair[1])

    def _last_ticks(self, now: datetime) -> dict[str, datetime]:
        """The newest claimed tick of each schedule; one seen for the first time begins now."""
        names = [schedule.name for schedule in self._schedules]
        known = self._app.queues.last_ticks(names)
        for name in names:
            if name not in known:
                self._app.queues.begin_schedule(name, int(now.timestamp() * 1000))
        return {name: from_epoch_ms(known[name]) if name in known else now for name in names}

    def _run_if_due(self, schedule: Schedule, last: datetime, now: datetime) -> None:
        tick = latest_tick(schedule.cron, schedule.timezone, last, now)
        if tick is None:
            return
        if now - tick > LATE and schedule.missed is MissedTick.SKIP:
            self._app.queues.transitions.fire(schedule.name, int(tick.timestamp() * 1000), [])
            log.warning("tick missed and skipped", schedule=schedule.name, tick=tick.isoformat())
            return
        try:
            count = self._app.fire(schedule, tick)
        except QueueUnavailable:
            raise
        except FlowzzError as error:
            log.error("schedule could not be fired", schedule=schedule.name, tick=tick.isoformat(), error=str(error))
            return
        except Exception:
            log.exception("schedule could not be fired", schedule=schedule.name, tick=tick.isoformat())
            return
        if count is not None:
            log.info("schedule fired", schedule=schedule.name, tick=tick.isoformat(), jobs=count)

"""What a person does with schedules: look, pause, resume, change the line, revert, run now."""

from __future__ import annotations

import uuid

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError, InvalidRequest, UnknownSchedule
from flowzz.jobs.cron import trigger
from flowzz.queues.schedules import FireReply
from flowzz.scheduling.effective import EffectiveSchedule


class Schedules:
    """The schedules of the loaded plugins with their run-time edits. Schedulers see an edit within 5 s.

    Every method raises QueueUnavailable when Redis is away, and UnknownSchedule with the nearest name.
    """

    def __init__(self, app: Flowzz) -> None:
        self._app = app

    def all(self) -> list[EffectiveSchedule]:
        """By name."""
        known = self._app.plugins.schedules
        states = self._app.queues.schedule_states(sorted(known))
        return [EffectiveSchedule(known[name], state) for name, state in states.items()]

    def get(self, name: str) -> EffectiveSchedule:
        known = self._app.plugins.schedules
        if name not in known:
            raise UnknownSchedule(name, known)
        return EffectiveSchedule(known[name], self._app.queues.schedule_states([name])[name])

    def pause(self, name: str, reason: str, by: str) -> None:
        """No tick fires until it is resumed; those that pass meanwhile are not caught up."""
        self._edit(name, "pause", by, reason=reason)

    def resume(self, name: str, by: str) -> bool:
        """Tick again, from now on; False when it was not paused."""
        return self._edit(name, "resume", by)

    def set(self, name: str, by: str, *, cron: str | None = None, timezone: str | None = None) -> None:
        """Another cron line or time zone, from now on; the definition's own value again ends the edit of that value.

        Raises InvalidRequest for a line or a zone that cannot be read, and when neither is given.
        """
        now = self.get(name).schedule
        if cron is None and timezone is None:
            raise InvalidRequest("expected a cron line or a time zone, got neither")
        try:
            trigger(now.cron if cron is None else cron, now.timezone if timezone is None else timezone)
        except ConfigurationError as error:
            raise InvalidRequest(str(error)) from None
        self._edit(name, "set", by, cron=cron or "", timezone=timezone or "")

    def revert(self, name: str, by: str) -> bool:
        """Back to the plugin's definition, not paused, from now on; False when nothing was edited."""
        return self._edit(name, "revert", by)

    def run(self, name: str, by: str, *, run_id: str | None = None) -> FireReply:
        """Enqueue its jobs now, paused or not; its ticks come as before. The same ``run_id`` again changes nothing."""
        return self._app.run_schedule(self.get(name).schedule, run_id or uuid.uuid4().hex[:12], by)

    def _edit(self, name: str, action: str, by: str, *, reason: str = "", cron: str = "", timezone: str = "") -> bool:
        own = self.get(name).definition
        return self._app.queues.transitions.edit_schedule(
            name,
            action,
            by=by,
            now_ms=int(clock.now().timestamp() * 1000),
            own=(own.cron, own.timezone),
            reason=reason,
            cron=cron,
            timezone=timezone,
        )

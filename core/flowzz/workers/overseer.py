"""The overseer: a thread that looks, once a heartbeat, for what the dispatcher cannot see by itself.

- A handler in a thread or on the loop that is past its timeout and the grace: its execution is settled without it, its
  late result is refused, and the worker is replaced, because a thread cannot be killed.
- A worker that takes more memory than it may: it is replaced between jobs.
- A dispatcher that has not completed a turn for ``settings.watchdog`` seconds, whether Redis does not answer or code of
  somebody else holds it: its connections are closed, so that it makes new ones; after as long again the worker is
  replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from flowzz.workers.ending import REPLACE_ME, leave, resident_bytes
from flowzz.workers.heartbeat import Heartbeat
from flowzz.workers.leases import Held

TRY_ENDS_WITHIN_S = 30.0
"""A try of a step ends long before: commands time out after 5 s and are repeated twice."""

log = structlog.get_logger("flowzz.worker")


class Pulse:
    """When the dispatcher last showed that it lives: it beats at every turn of its loop, a second apart at most.

    A step that Redis does not answer is part of a turn; its failed tries are told, since they show life too.
    """

    def __init__(self) -> None:
        self._beaten: float | None = None
        self._tried = 0.0

    def beat(self) -> None:
        """A turn begins."""
        self._beaten = self._tried = time.monotonic()

    def tried(self) -> None:
        """A try of a step failed: Redis is away, but the dispatcher lives."""
        self._tried = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since the turn that is under way began; 0 before the first."""
        return 0.0 if self._beaten is None else time.monotonic() - self._beaten

    @property
    def hung_s(self) -> float:
        """Seconds since the turn that is under way began, or a try of its step failed; 0 before the first."""
        return 0.0 if self._beaten is None else time.monotonic() - self._tried


class Overseer:
    """Looks every ``every`` seconds until stopped.

    ``give_up`` settles an execution whose handler never returned, ``replace`` asks for a graceful replacement,
    ``reconnect`` closes the connections to Redis.
    """

    def __init__(
        self,
        *,
        every: float,
        timeout_grace: float,
        watchdog: float,
        max_memory: int | None,
        pulse: Pulse,
        held: Callable[[], Sequence[Held]],
        give_up: Callable[[Held], None],
        replace: Callable[[str], None],
        reconnect: Callable[[], None],
    ) -> None:
        self._timeout_grace = timeout_grace
        self._watchdog = watchdog
        self._max_memory = max_memory
        self._pulse = pulse
        self._held = held
        self._give_up = give_up
        self._replace = replace
        self._reconnect = reconnect
        self._given_up: set[str] = set()
        self._reconnected = False
        self._heartbeat = Heartbeat("flowzz-overseer", every, self._look)

    def start(self) -> None:
        self._heartbeat.start()

    def stop(self) -> None:
        self._heartbeat.stop()

    @property
    def is_silent(self) -> bool:
        """True while the dispatcher is past the watchdog: the registration and the list of workers say so."""
        return self._pulse.silent_s > self._watchdog

    def _look(self) -> None:
        self._look_for_the_stuck()
        self._weigh()
        self._feel_the_pulse()

    def _look_for_the_stuck(self) -> None:
        held = self._held()
        self._given_up &= {claim.execution_id for claim, _ in held}
        for claim, reporter in held:
            if reporter.is_overdue(self._timeout_grace) and claim.execution_id not in self._given_up:
                self._given_up.add(claim.execution_id)
                log.error("a handler never returned; this worker will be replaced", job=claim.job, job_id=claim.job_id)
                self._give_up((claim, reporter))

    def _weigh(self) -> None:
        if self._max_memory is not None and (size := resident_bytes()) > self._max_memory:
            self._replace(f"it uses {size // 1_000_000} MB")

    def _feel_the_pulse(self) -> None:
        silent = self._pulse.silent_s
        if silent <= self._watchdog:
            self._reconnected = False
            return
        if not self._reconnected:
            self._reconnected = True
            log.error("the dispatcher has been silent for a while; reconnecting", silent_s=round(silent, 1))
            self._reconnect()
        elif self._pulse.hung_s > max(self._watchdog, TRY_ENDS_WITHIN_S) or (
            silent > 2 * self._watchdog and not self._held()
        ):
            # With Redis away, jobs in hand keep the worker: their outcomes wait here. One that hangs settles none.
            log.error("the dispatcher is still silent; this worker is replaced", silent_s=round(silent, 1))
            leave(REPLACE_ME)

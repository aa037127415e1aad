"""The lease keeper: a thread that job code cannot starve of its connection, renewing what the worker holds.

It counts its trust from before it sent the last renewal that was answered: when the lease would have ended by then, the
executions are told that they lost it, because another worker may have them by now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from flowzz.errors import QueueUnavailable
from flowzz.queues.transitions import Claim, Transitions
from flowzz.workers.heartbeat import Heartbeat
from flowzz.workers.reporter import Reporter

log = structlog.get_logger("flowzz.worker")

REGISTRATION_TTL_S = 60
Held = tuple[Claim, Reporter]


class LeaseKeeper:
    """Renews every ``heartbeat`` seconds until stopped."""

    def __init__(
        self,
        transitions: Transitions,
        worker: str,
        queues: Sequence[str],
        *,
        lease: float,
        heartbeat: float,
        held: Callable[[], Sequence[Held]],
        registration: Callable[[], Mapping[str, str | int]],
    ) -> None:
        self._transitions = transitions
        self._worker = worker
        self._queues = queues
        self._lease = lease
        self._heartbeat = heartbeat
        self._held = held
        self._registration = registration
        self._trusted_from = time.monotonic()
        self._thread = Heartbeat("flowzz-leases", heartbeat, self._keep)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop(wait_s=5)

    def beat(self) -> None:
        """One renewal. Raises QueueUnavailable."""
        held = list(self._held())
        sent = time.monotonic()
        answers = self._transitions.renew(
            self._worker,
            lease_ms=round(self._lease * 1000),
            ttl_s=REGISTRATION_TTL_S,
            fields=self._registration(),
            queues=self._queues,
            executions=[(claim.queue, claim.job_id, claim.execution_id, claim.started_at) for claim, _ in held],
        )
        self._trusted_from = sent
        for (claim, reporter), answer in zip(held, answers, strict=True):
            if answer == 0 and any(claim is still for still, _ in self._held()):
                log.warning("lease lost", job=claim.job, job_id=claim.job_id, execution=claim.execution_id)
                reporter.mark_lost()
            elif answer == 2:
                reporter.mark_canceled()

    def _keep(self) -> None:
        try:
            self.beat()
        except QueueUnavailable as error:
            self._lose_faith(error)

    def _lose_faith(self, error: QueueUnavailable) -> None:
        silent = time.monotonic() - self._trusted_from
        log.warning("heartbeat failed", error=str(error), silent_s=round(silent, 1))
        if silent >= self._lease - self._heartbeat:
            for _, reporter in self._held():
                reporter.mark_lost()

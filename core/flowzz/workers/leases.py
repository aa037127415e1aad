"""The lease keeper: a thread that job code cannot starve of its connection, renewing what the worker holds.

Trust counts from the moment before the last answered renewal was sent. A second thread, the fence, waits for nobody:
shortly before the leases would end by that count it tells the executions that they lost them, because another worker
may have them soon.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from flowzz.errors import QueueUnavailable
from flowzz.queues.claims import Claim
from flowzz.queues.transitions import Transitions
from flowzz.workers.heartbeat import Heartbeat
from flowzz.workers.reporter import Reporter

log = structlog.get_logger("flowzz.worker")

REGISTRATION_TTL_S = 60
AGAIN_S = 1.0
"""A heartbeat that failed is repeated this soon."""
MOST_MARGIN_S = 1.0
"""The fence comes this long before the end of the lease, or a fifth of a short lease."""
Held = tuple[Claim, Reporter]


class LeaseKeeper:
    """Renews every ``heartbeat`` seconds until stopped; ``answered`` is called after each renewal that got through."""

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
        answered: Callable[[], object],
    ) -> None:
        self._transitions = transitions
        self._worker = worker
        self._queues = queues
        self._lease = lease
        self._heartbeat = heartbeat
        self._held = held
        self._registration = registration
        self._answered = answered
        self._trusted_from = time.monotonic()
        self._margin = min(MOST_MARGIN_S, lease / 5)
        self._thread = Heartbeat("flowzz-leases", heartbeat, self._keep)
        self._fence = Heartbeat("flowzz-fence", lease - self._margin, self._guard)

    def start(self) -> None:
        self._thread.start()
        self._fence.start()

    def stop(self) -> None:
        self._fence.stop()
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
        self._answered()

    def _keep(self) -> float | None:
        try:
            self.beat()
        except QueueUnavailable as error:
            silent = time.monotonic() - self._trusted_from
            log.warning("heartbeat failed", error=str(error), silent_s=round(silent, 1))
            return min(self._heartbeat, AGAIN_S)
        return None

    def _guard(self) -> float:
        """Fence what may be lost; seconds until there may be more."""
        now, trusted_for = time.monotonic(), self._lease - self._margin
        left = self._trusted_from + trusted_for - now
        if left > 0:
            return left
        for claim, reporter in self._held():
            if not reporter.lease_lost and now >= reporter.claimed_at + trusted_for:
                log.error("lease given up: no heartbeat was answered", job=claim.job, job_id=claim.job_id)
                reporter.mark_lost()
        return self._margin / 2

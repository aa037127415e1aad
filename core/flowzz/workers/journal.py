"""The worker's log of jobs: lines are built for a whole step and written at once.

One call of the logging module a line would cost more than the rest of a job's way through the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowzz import logs
from flowzz.jobs.outcome import (
    Canceled,
    Completed,
    Failed,
    Outcome,
    Parked,
    Postponed,
    Released,
    Retrying,
)
from flowzz.queues.transitions import Claim, StepReply
from flowzz.workers.mailbox import Done

REFUSED = {0: "refused, the lease was lost", 2: "dropped, the job is gone"}


class Journal:
    """Writes what a step did."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def write(self, done: Sequence[Done], reply: StepReply) -> None:
        """One batch of lines for the settled and the claimed jobs of a step."""
        lines = [
            self._ended(ended.claim, ended.outcome, verdict, reply.now_ms)
            for ended, verdict in zip(done, reply.verdicts, strict=True)
        ]
        lines += [self._line("info", "job started", claim) for claim in reply.claims]
        if lines:
            logs.write_batch(lines)

    def _line(self, level: str, event: str, claim: Claim, **more: Any) -> dict[str, Any]:
        return {
            "level": level,
            "event": event,
            "logger": "flowzz.worker",
            "job": claim.job_id,
            "queue": claim.queue,
            "attempt": claim.attempts_made + 1,
            "worker": self._worker,
            **more,
        }

    def _ended(self, claim: Claim, outcome: Outcome, verdict: int, now_ms: float) -> dict[str, Any]:
        took = round(now_ms / 1000 - claim.started_at, 3)
        if verdict != 1:
            return self._line("warning", "late result " + REFUSED.get(verdict, "lost"), claim, took_s=took)
        level, event, more = _words(outcome)
        return self._line(level, event, claim, took_s=took, **more)


def _words(outcome: Outcome) -> tuple[str, str, dict[str, Any]]:
    match outcome:
        case Completed():
            return "info", "job completed", {}
        case Retrying(delay, error):
            return (
                "warning",
                "job will be retried",
                {"error": f"{error.type}: {error.message}", "in_s": delay.total_seconds()},
            )
        case Failed(error):
            return "error", "job failed", {"error": f"{error.type}: {error.message}", "traceback": error.traceback}
        case Postponed(delay, reason, _):
            return "info", "job postponed", {"reason": reason, "in_s": delay.total_seconds()}
        case Released(reason):
            return "info", "job released", {"reason": reason}
        case Parked(reason):
            return "warning", "job parked, no plugin registers it", {"name": reason}
        case Canceled(reason):
            return "info", "job canceled", {"reason": reason}

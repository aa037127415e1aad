"""The worker's log of jobs: lines are built for a whole step and written at once, while Redis does the next step.

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
from flowzz.queues.claims import StepReply
from flowzz.workers.mailbox import Done

REFUSED = {0: "refused, the lease was lost", 2: "dropped, the job is gone"}


class Journal:
    """Writes what a step did: ``note`` keeps it, ``write`` writes what is kept. One thread calls both."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._kept: list[tuple[Sequence[Done], StepReply]] = []
        said = {"level": "info", "logger": "flowzz.worker", "worker": worker}
        self._started = logs.Form(("job", "job_id", "queue", "attempt"), event="job started", **said)
        self._completed = logs.Form(("job", "job_id", "queue", "attempt", "took_s"), event="job completed", **said)

    def note(self, done: Sequence[Done], reply: StepReply) -> None:
        """Keep what a step settled and claimed until ``write``."""
        self._kept.append((done, reply))

    def write(self) -> None:
        """One batch of lines for the settled and the claimed jobs of each step that is kept. Never raises."""
        kept, self._kept = self._kept, []
        for done, reply in kept:
            self._write(done, reply)

    def _write(self, done: Sequence[Done], reply: StepReply) -> None:
        now_s = reply.now_ms / 1000
        completed: list[tuple[str | float, ...]] = []
        others = []
        for ended, verdict in zip(done, reply.verdicts, strict=True):
            claim = ended.claim
            if verdict == 1 and isinstance(ended.outcome, Completed):
                took_s = round(now_s - claim.started_at, 3)
                completed.append((ended.job, claim.job_id, claim.queue, claim.attempts_made + 1, took_s))
            else:
                others.append(self._ended(ended, verdict, now_s))
        logs.write_rows(self._completed, completed)
        logs.write_batch(others)
        logs.write_rows(self._started, [(c.job or "?", c.job_id, c.queue, c.attempts_made + 1) for c in reply.claims])

    def _line(self, level: str, event: str, done: Done, **more: Any) -> dict[str, Any]:
        claim = done.claim
        return {
            "level": level,
            "event": event,
            "logger": "flowzz.worker",
            "job": done.job,
            "job_id": claim.job_id,
            "queue": claim.queue,
            "attempt": claim.attempts_made + 1,
            "worker": self._worker,
            **more,
        }

    def _ended(self, done: Done, verdict: int, now_s: float) -> dict[str, Any]:
        took = round(now_s - done.claim.started_at, 3)
        if verdict != 1:
            return self._line("warning", "late result " + REFUSED.get(verdict, "lost"), done, took_s=took)
        level, event, more = _words(done.outcome)
        return self._line(level, event, done, took_s=took, **more)


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

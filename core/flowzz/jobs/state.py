"""The states of a job: our words, and the status that RQ stores for each."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is. The value is the word used in the API, the CLI and the admin."""

    WAITING = "waiting"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    DELAYED = "delayed"
    PARKED = "parked"
    DEFERRED = "deferred"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """True when nothing moves the job any more unless a person asks for it."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELED)


STATE_OF_RQ_STATUS = {
    "queued": JobState.WAITING,
    "started": JobState.ACTIVE,
    "finished": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "scheduled": JobState.DELAYED,
    "deferred": JobState.PARKED,
    "canceled": JobState.CANCELED,
    "stopped": JobState.CANCELED,
}

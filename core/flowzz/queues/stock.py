"""What our entry function needs when a stock ``rq worker`` runs one of our jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rq import get_current_job

from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.reading import read_job
from flowzz.queues.records import JobRecord


@dataclass(frozen=True, slots=True)
class StockJob:
    """The job that this process's stock RQ worker is running."""

    queues: Queues
    record: JobRecord

    @classmethod
    def current(cls, queues: Queues) -> StockJob | None:
        """The running job, or None outside an RQ worker."""
        job = get_current_job()
        if job is None:
            return None
        fields: Any = job.connection.hgetall(keys.JOB(job.id))
        return cls(queues, read_job(job.id, fields, None))

    @property
    def attempt(self) -> int:
        """The number of this run, from 1; RQ counts down what is left."""
        job = get_current_job()
        left = job.retries_left if job is not None else None
        return max(1, self.record.max_attempts - (left or 0))

    def no_more_retries(self) -> None:
        """Another run would not help: RQ fails the job when it raises now."""
        job = get_current_job()
        if job is not None:
            job.retries_left = 0

    def annotate(self, attempt: int, progress: tuple[float, str] | None, checkpoint: Any, log: list[str]) -> None:
        """Store what the handler reports. RQ owns the lease here, so nothing fences it."""
        self.queues.annotate(
            self.record.id,
            {
                "flowzz_progress": json.dumps(progress) if progress else None,
                "flowzz_checkpoint": json.dumps(checkpoint) if checkpoint is not None else None,
            },
            [f"{attempt}|{line}" for line in log],
        )

    def recall(self) -> Mapping[str, str]:
        return self.queues.transitions.recall(self.record.id)

    def remember(self, name: str, result: str) -> None:
        """Keep a step's result; as above, nothing fences it."""
        self.queues.transitions.remember_unfenced(self.record.id, name, result)

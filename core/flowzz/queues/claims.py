"""What passes between the scripts and a worker: claims and rescued jobs out, settlements in. Values, no I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flowzz.queues.fields import name_of

FRESH = (0, 0, b"", b"")
"""Attempts made, times stalled, checkpoint and RQ's own retries of a job that never ran."""


@dataclass(slots=True)
class Claim:
    """A job under our lease, raw as Redis holds it; ``started_at`` is Unix seconds by Redis's clock.

    Never changed; not frozen, like Settlement, since that costs more than all else that is done to one.

    ``rq_retry`` is ``left|intervals`` of RQ's own ``Retry``, for a job that plain RQ enqueued with one.
    """

    queue: str
    job_id: str
    execution_id: str
    data: bytes
    envelope: bytes
    attempts_made: int
    stalled: int
    checkpoint: bytes
    started_at: float
    rq_retry: bytes = b""

    @property
    def job(self) -> str | None:
        """The job's name, for logs; None when what Redis holds does not say one."""
        return name_of(self.envelope, self.data)


@dataclass(slots=True, kw_only=True)
class Settlement:
    """How one execution ended, ready for the script (see step.lua for each value)."""

    queue: str
    job_id: str
    execution_id: str
    kind: str
    attempt: int
    started_at: float
    delay_ms: int = 0
    body: str = ""
    error: str = ""
    note: str = ""
    hold: str = ""

    def arguments(self) -> tuple[str | int, ...]:
        return (
            self.queue,
            self.job_id,
            self.execution_id,
            self.kind,
            self.attempt,
            f"{self.started_at:.6f}",
            self.body,
            self._more() if self.delay_ms or self.error or self.note or self.hold else "",
        )

    def _more(self) -> str:
        more = {"delay": self.delay_ms, "error": self.error, "note": self.note, "hold": self.hold}
        return json.dumps({name: value for name, value in more.items() if value})


@dataclass(frozen=True, slots=True)
class StepReply:
    """``verdicts`` one a settlement (1 settled, 0 refused, 2 gone); ``next_due_ms`` Unix ms or -1; times by Redis."""

    verdicts: list[int]
    claims: list[Claim]
    next_due_ms: float
    now_ms: float


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job whose lease had ended, and where it is now; ``job`` is its name, None when it says none."""

    queue: str
    job_id: str
    now: Literal["waiting", "failed", "gone"]
    job: str | None


def read_claims(flat: Sequence[bytes], more: Sequence[Any], token: str, now_s: float) -> list[Claim]:
    """The claims of a step's answer (see step.lua); those that a repeated step has lost are left out."""
    extra = {
        more[at]: (_whole(more[at + 1]), _whole(more[at + 2]), more[at + 3], more[at + 4])
        for at in range(0, len(more), 5)
    }
    claims = []
    for number in range(1, len(flat) // 4 + 1):
        queue, job_id, data, envelope = flat[4 * number - 4 : 4 * number]
        if job_id:
            name = job_id.decode(errors="replace")
            made, stalled, checkpoint, rq_retry = extra.get(number, FRESH)
            own = (made, stalled, checkpoint, now_s, rq_retry)
            claims.append(Claim(queue.decode(), name, f"{token}-{number}", data, envelope, *own))
    return claims


def read_rescued(raw: Sequence[bytes]) -> Rescued:
    queue, job_id, _, now, envelope = raw
    return Rescued(
        queue=queue.decode(errors="replace"),
        job_id=job_id.decode(errors="replace"),
        now=now.decode(),  # type: ignore[arg-type]
        job=name_of(envelope, None),
    )


def _whole(raw: bytes) -> int:
    """A count, or 0 when the field holds no sensible one: nothing in Redis may stop a worker."""
    return int(raw) if raw.isdigit() and len(raw) < 10 else 0

"""A small driver of the scripts for tests that need no worker."""

from __future__ import annotations

import itertools
import json
from typing import Any

from flowzz.queues.claims import Claim, Settlement, StepReply
from flowzz.queues.engine import Queues
from flowzz.queues.fields import Envelope
from flowzz.queues.lanes import Lane
from flowzz.queues.new_job import NewJob
from flowzz.queues.reading import pack_result, pack_text

_numbers = itertools.count(1)


def new_job(
    job_id: str,
    *,
    queue: str = "sync",
    payload: Any = None,
    nonce: str = "n",
    due: str = "",
    attempts: int = 3,
    max_stalled: int = 1,
    lane: Lane = Lane(),  # noqa: B008 - a frozen value
) -> NewJob:
    return NewJob(
        id=job_id,
        queue=queue,
        payload=payload or {},
        envelope=Envelope("probe.work", attempts, max_stalled, nonce, "loja-1"),
        timeout_s=900,
        due=due,
        lane=lane,
    )


def step(
    queues: Queues,
    *settlements: Settlement,
    want: int = 10,
    worker: str = "w1",
    token: str | None = None,
    served: tuple[str, ...] = ("sync",),
    lease_ms: int = 30_000,
    keep_completed: int = 100,
    keep_failed: int = 200,
) -> StepReply:
    return queues.transitions.step(
        worker,
        token or f"token{next(_numbers)}",
        lease_ms=lease_ms,
        want=want,
        keep_completed=keep_completed,
        keep_failed=keep_failed,
        queues=served,
        settlements=settlements,
    )


def completed(claim: Claim, result: Any = None) -> Settlement:
    return ended(claim, "completed", body=pack_result(json.dumps(result)))


def ended(claim: Claim, kind: str, *, body: str = "", delay_ms: int = 0, note: str = "", hold: str = "") -> Settlement:
    return Settlement(
        queue=claim.queue,
        job_id=claim.job_id,
        execution_id=claim.execution_id,
        kind=kind,
        attempt=claim.attempts_made + 1,
        started_at=claim.started_at,
        delay_ms=delay_ms,
        body=body,
        error='{"type": "ValueError", "message": "broken"}' if kind in ("failed", "retrying") else "",
        note=note,
        hold=hold,
    )


def failure_text() -> str:
    return pack_text("Stalled: lost")

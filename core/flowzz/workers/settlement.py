"""An outcome as the settle script wants it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from functools import partial

from flowzz.jobs.outcome import (
    Canceled,
    Completed,
    ErrorInfo,
    Failed,
    Outcome,
    Parked,
    Postponed,
    Released,
    Retrying,
)
from flowzz.queues.claims import Claim, Settlement
from flowzz.queues.reading import pack_result, pack_text
from flowzz.workers.mailbox import Done

MOST_RESULT = 256 * 1024
"""Bytes of JSON that are stored of a result; a handler that makes more stores it elsewhere and returns a reference."""
KEPT_BEGINNING = 1_000
MOST_TRACE = 64 * 1024
MOST_MESSAGE = 8 * 1024


def done(claim: Claim, outcome: Outcome) -> Done:
    """An ended execution with its settlement; built in the handler's thread, which may do the packing."""
    return Done(claim, outcome, settlement_of(claim, outcome))


def settlement_of(claim: Claim, outcome: Outcome) -> Settlement:
    """What to store. Only completed, failed and retrying runs use up an attempt."""
    attempt = claim.attempts_made + 1
    build = partial(
        Settlement,
        queue=claim.queue,
        job_id=claim.job_id,
        execution_id=claim.execution_id,
        attempt=attempt,
        started_at=claim.started_at,
    )
    match outcome:
        case Completed(result):
            body, note = _kept(result)
            return build(kind="completed", body=body, note=note)
        case Failed(error):
            return build(kind="failed", body=_trace(error), error=_short(error))
        case Retrying(delay, error):
            return build(
                kind="retrying",
                delay_ms=_ms(delay),
                body=_trace(error),
                error=_short(error),
            )
        case Postponed(delay, reason, hold):
            return build(kind="postponed", delay_ms=_ms(delay), note=_clean(reason), hold=hold)
        case Released(reason):
            return build(kind="released", note=_clean(reason))
        case Parked(reason):
            return build(kind="parked", note=reason)
        case Canceled(reason):
            return build(kind="canceled", note=_clean(reason))


def _clean(reason: str) -> str:
    """A reason as the script can read it: half a surrogate pair is no JSON to it, and would stop every step."""
    return reason[:MOST_MESSAGE].encode(errors="replace").decode()


def _ms(delay: timedelta) -> int:
    return max(0, round(delay.total_seconds() * 1000))


def _kept(result: str) -> tuple[str, str]:
    """The result as it is stored, and a note. One that is too large is replaced by its size and its beginning."""
    if len(result) <= MOST_RESULT:
        return pack_result(result), ""
    mark = {"truncated": True, "bytes": len(result), "beginning": result[:KEPT_BEGINNING]}
    return pack_result(
        json.dumps(mark)
    ), f"the result of {len(result):,} bytes was cut: at most {MOST_RESULT:,} are kept"


def _trace(error: ErrorInfo) -> str:
    text = error.traceback or f"{error.type}: {error.message}"
    if len(text) > MOST_TRACE:
        # What was raised stands at the end, where it began at the beginning.
        left_out = len(text) - MOST_TRACE
        text = f"{text[: MOST_TRACE // 4]}\n… {left_out:,} characters left out …\n{text[-3 * MOST_TRACE // 4 :]}"
    return pack_text(text)


def _short(error: ErrorInfo) -> str:
    document = asdict(error)
    del document["traceback"]
    if len(error.message) > MOST_MESSAGE:
        left_out = len(error.message) - MOST_MESSAGE
        document["message"] = f"{error.message[:MOST_MESSAGE]}… {left_out:,} characters left out"
    return json.dumps(document)

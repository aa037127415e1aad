"""Turns what Redis holds of a job into records. Reading changes nothing and never fails for one bad field."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from flowzz.clock import from_epoch_ms, from_rq
from flowzz.jobs.missing import distribution_of
from flowzz.jobs.outcome import ErrorInfo
from flowzz.jobs.state import STATE_OF_RQ_STATUS, JobState
from flowzz.queues.fields import MAX_INFLATED, Envelope, UnreadableJob, load_call
from flowzz.queues.records import AttemptRecord, JobRecord, LogLine, Progress

Hash = Mapping[bytes, bytes]
DEEPEST = 64
"""Levels of a payload, result or checkpoint that are read for people to look at; the handler gets all of them."""


def read_job(job_id: str, fields: Hash, latest: Hash | None, due: float | None = None) -> JobRecord:
    """The record of a job hash; ``latest`` is its newest result entry, ``due`` its score in the delayed set (s)."""
    envelope, name, payload, problem = _identity(fields)
    state = STATE_OF_RQ_STATUS.get(_text(fields, b"status"), JobState.WAITING)
    note = _text(fields, b"flowzz_note") or None
    if state is JobState.PARKED and not note:
        state = JobState.DEFERRED  # RQ has one status for both; a parked job notes the name that is missing
    if state is JobState.PARKED:
        note = f"no plugin registers {note}; install {distribution_of(str(note))}"
    return JobRecord(
        id=job_id,
        name=name,
        queue=_text(fields, b"origin"),
        state=state,
        payload=payload,
        result=_result(latest) if state is JobState.COMPLETED else None,
        error=_error(fields, latest, state, problem),
        attempts_made=_whole(fields, b"flowzz_attempts"),
        max_attempts=envelope.attempts if envelope else _attempts_of_rq(fields),
        stalled_count=_whole(fields, b"flowzz_stalled"),
        progress=_progress(fields),
        checkpoint=_json(fields.get(b"flowzz_checkpoint")),
        company_id=envelope.company if envelope else None,
        worker=_text(fields, b"worker_name") or None,
        note=note,
        created_at=_moment(fields, b"created_at") or from_epoch_ms(0),
        enqueued_at=_moment(fields, b"enqueued_at"),
        due_at=_when(due) if state is JobState.DELAYED else None,
        started_at=_moment(fields, b"started_at"),
        ended_at=_moment(fields, b"ended_at"),
        depends_on=_parents(fields),
    )


def read_attempt(entry_id: bytes, entry: Hash) -> AttemptRecord:
    """One entry of a result stream; entries that stock RQ wrote carry no outcome and are read by their type."""
    outcomes = {"1": "completed", "2": "failed", "3": "canceled", "4": "retrying", "5": "failed"}
    ended = _float(entry, b"execution_ended_at")
    started = _float(entry, b"execution_started_at")
    return AttemptRecord(
        attempt=_whole(entry, b"attempt") or 1,
        outcome=_text(entry, b"outcome") or outcomes.get(_text(entry, b"type"), "failed"),
        worker=_text(entry, b"worker_name"),
        started_at=_when(started) if started else None,
        ended_at=(_when(ended) if ended else None) or from_epoch_ms(int(entry_id.split(b"-")[0])),
        error=_entry_error(entry),
        note=_text(entry, b"note") or None,
    )


def read_log_line(raw: bytes) -> LogLine:
    at, _, rest = raw.decode(errors="replace").partition("|")
    attempt, _, message = rest.partition("|")
    return LogLine(from_epoch_ms(float(at)), int(attempt), message)


def pack_text(text: str) -> str:
    """Text as RQ keeps a traceback in a result entry: base64 of zlib."""
    return base64.b64encode(zlib.compress(text.encode(errors="replace"))).decode()


def pack_result(text: str) -> str:
    """JSON text as RQ keeps a return value in a result entry: base64 of it. ``null`` is kept as nothing."""
    return "" if text == "null" else base64.b64encode(text.encode()).decode()


def _identity(fields: Hash) -> tuple[Envelope | None, str, Any, str | None]:
    envelope, problem = None, None
    try:
        envelope = Envelope.load(fields.get(b"flowzz"))
        name, payload = load_call(fields.get(b"data"))
        name, payload = _writable(name), _writable(payload)
    except UnreadableJob as error:
        problem = f"unreadable: {error}"
        name, payload = envelope.job if envelope else _text(fields, b"description")[:200], None
    return envelope, name, payload, problem


def _error(fields: Hash, latest: Hash | None, state: JobState, problem: str | None) -> ErrorInfo | None:
    if state in (JobState.COMPLETED, JobState.CANCELED):
        return None
    stored = _json(fields.get(b"flowzz_error"))
    trace = _unpack(latest.get(b"exc_string")) if latest else ""
    if not trace:
        trace = _inflate(fields.get(b"exc_info"))
    if isinstance(stored, dict):
        return ErrorInfo(str(stored.get("type", "")), str(stored.get("message", "")), trace)
    if trace and state is JobState.FAILED:
        kind, _, message = trace.strip().rpartition("\n")[2].partition(": ")
        return ErrorInfo(kind, message, trace)
    return ErrorInfo("UnreadableJob", problem, "") if problem else None


def _entry_error(entry: Hash) -> ErrorInfo | None:
    trace = _unpack(entry.get(b"exc_string"))
    stored = _json(entry.get(b"error"))
    if isinstance(stored, dict):
        return ErrorInfo(str(stored.get("type", "")), str(stored.get("message", "")), trace)
    return ErrorInfo("", "", trace) if trace else None


def _result(latest: Hash | None) -> Any:
    packed = latest.get(b"return_value") if latest else None
    if not packed:
        return None
    try:
        return _writable(json.loads(base64.b64decode(packed)))
    except (ValueError, binascii.Error):
        return None


def _attempts_of_rq(fields: Hash) -> int:
    """Runs in all that RQ's own ``Retry`` allows; 1 without one."""
    return 1 + _whole(fields, b"number_of_retries") + _whole(fields, b"retries_left")


def _progress(fields: Hash) -> Progress | None:
    stored = _json(fields.get(b"flowzz_progress"))
    if isinstance(stored, list) and len(stored) == 2 and isinstance(stored[0], int | float):
        return Progress(float(stored[0]), str(stored[1]))
    return None


def _unpack(packed: bytes | None) -> str:
    if not packed:
        return ""
    try:
        return _inflate(base64.b64decode(packed))
    except binascii.Error:
        return ""


def _inflate(data: bytes | None) -> str:
    if not data:
        return ""
    with suppress(zlib.error):
        data = zlib.decompressobj().decompress(data, MAX_INFLATED)
    return data.decode(errors="replace")


def _json(raw: bytes | None) -> Any:
    if not raw:
        return None
    try:
        return _writable(json.loads(raw))
    except (ValueError, RecursionError):
        return None


def _writable(value: Any) -> Any:
    """``value`` as a page can show it: not too deep, and '?' for half surrogate pairs, which UTF-8 cannot say."""
    if _is_deep(value):
        return "(nested too deeply to show)"
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode(errors="replace"))
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _parents(fields: Hash) -> tuple[str, ...]:
    stored = _json(fields.get(b"dependency_ids"))
    return tuple(str(parent) for parent in stored) if isinstance(stored, list) else ()


def _text(fields: Hash, name: bytes) -> str:
    return fields.get(name, b"").decode(errors="replace")


def _whole(fields: Hash, name: bytes) -> int:
    raw = fields.get(name, b"")
    return int(raw) if raw.isdigit() and len(raw) < 16 else 0


def _float(fields: Hash, name: bytes) -> float | None:
    try:
        return float(fields[name])
    except (KeyError, ValueError):
        return None


def _when(seconds: float | None) -> datetime | None:
    """Unix seconds as a moment; None for a number that is none (an infinity, or the year 40,000)."""
    if seconds is None:
        return None
    try:
        return from_epoch_ms(seconds * 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _moment(fields: Hash, name: bytes) -> datetime | None:
    try:
        return from_rq(_text(fields, name))
    except ValueError:
        return None

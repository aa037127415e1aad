"""The fields that Flowzz adds to RQ's job hash, and what the envelope holds.

| field | meaning |
|---|---|
| flowzz | the envelope, JSON, written once at enqueue: ``Envelope`` below |
| flowzz_attempts | runs so far that used up an attempt |
| flowzz_stalled | times its worker was lost |
| flowzz_execution | id of the last execution that claimed it |
| flowzz_policy | what a failed parent means to it: fail, run or wait |
| flowzz_due | Unix ms; a deferred job runs no earlier, even when its parents are done |
| flowzz_batch | id of the batch it is a member of |
| flowzz_children | ``1`` once a job waits for this one |
| flowzz_replays | times it was replayed after it had failed for good |
| flowzz_error | JSON ``{type, message}`` of the last failed run |
| flowzz_note | why it is postponed, released or canceled; of a parked job, the name nobody registers |
| flowzz_progress | JSON ``[percent, note]`` |
| flowzz_checkpoint | JSON, saved by the handler |
| flowzz_reported | token of the last report that had log lines, for a repeat |
| flowzz_unique | its duplicates key: ``u:`` unique, ``t:`` throttled, ``d:`` debounced |
| flowzz_debounce_until | Unix ms; a debounced job is put off no further |
| flowzz_expires | Unix ms; no run begins after it |
| flowzz_astray | Unix ms since when it was seen to stand in no place |
| flowzz_keep | a retention of its own: ``job|completed|completed s|failed|failed s``, '' for no bound |
| flowzz_cancel | reason; set while somebody wants the running job to stop |
"""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from flowzz.errors import FlowzzError

ENTRY = "flowzz.workers.entry.run_job"
"""The one callable that a job in Redis may name. A stock ``rq worker`` imports it; ours only compares it."""

BEGINNING = b'{"job":"'
"""How every envelope begins; a job's name has no character that JSON escapes."""

_COMPACT = json.JSONEncoder(separators=(",", ":")).encode
_CALL = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

MAX_INFLATED = 8 * 1024 * 1024
"""Bytes of a call that are read; what is larger holds up everybody in its process while it is."""


class UnreadableJob(FlowzzError):
    """What Redis holds under this id is not a job that Flowzz can run."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What Flowzz keeps of a job beyond RQ's fields, written once.

    ``nonce`` tells an enqueue that is repeated from another with the same id; '' when nobody else can have the id.
    """

    job: str
    attempts: int
    max_stalled: int
    nonce: str
    company: str | None
    schedule: str | None = None

    def dump(self) -> str:
        document: dict[str, Any] = {
            "job": self.job,
            "attempts": self.attempts,
            "max_stalled": self.max_stalled,
        }
        if self.nonce:
            document["nonce"] = self.nonce
        if self.company is not None:
            document["company"] = self.company
        if self.schedule is not None:
            document["schedule"] = self.schedule
        return _COMPACT(document)

    @classmethod
    def load(cls, raw: bytes | None) -> Envelope | None:
        """The envelope, or None for a job that plain RQ enqueued. Raises UnreadableJob."""
        if not raw:
            return None
        try:
            document = from_json(raw)
            return cls(
                job=str(document["job"]),
                attempts=int(document["attempts"]),
                max_stalled=int(document["max_stalled"]),
                nonce=str(document.get("nonce", "")),
                company=document.get("company"),
                schedule=document.get("schedule"),
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UnreadableJob(f"its envelope is broken: {error!r}") from None


def dump_call(job: str, payload: Any) -> str:
    """RQ's ``data`` of a job: the call of ENTRY, as RQ's JSON serializer writes it (uncompressed, which RQ reads).

    Raises ValueError when the payload holds NaN or an infinity, which are not JSON.
    """
    return _CALL([ENTRY, None, [job, payload], {}])


def load_call(data: bytes | None) -> tuple[str, Any]:
    """Job name and payload of RQ's ``data``.

    Raises UnreadableJob for pickle, other callables, broken JSON and anything over 8 MiB, packed or not.
    """
    if data is None:
        raise UnreadableJob("it has no data")
    text = _inflate(data)
    if text[:1] == b"\x80":
        raise UnreadableJob("it is pickled; Flowzz reads JSON only, so enqueue with RQ's JSONSerializer")
    try:
        call = from_json(text, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise UnreadableJob(f"its data is not JSON: {error}") from None
    if not (isinstance(call, list) and len(call) == 4):
        raise UnreadableJob("its data is not a call [function, instance, args, kwargs]")
    function, _, args, kwargs = call
    if function != ENTRY:
        raise UnreadableJob(f"it calls {str(function)[:200]!r}; only {ENTRY} is run")
    return _arguments(args, kwargs)


def name_of(envelope: bytes | None, data: bytes | None) -> str | None:
    """The job's name by its envelope, else by its call; None when neither says one. For logs: it never raises."""
    if envelope and envelope.startswith(BEGINNING):
        return envelope[len(BEGINNING) :].partition(b'"')[0].decode(errors="replace")
    with suppress(UnreadableJob):
        if known := Envelope.load(envelope):
            return known.job
    with suppress(UnreadableJob):
        return load_call(data)[0]
    return None


def _arguments(args: Any, kwargs: Any) -> tuple[str, Any]:
    values = list(args) if isinstance(args, list) else []
    if isinstance(kwargs, dict):
        values += [kwargs[name] for name in ("job", "payload")[len(values) :] if name in kwargs]
    if len(values) != 2 or not isinstance(values[0], str):
        raise UnreadableJob(f"expected {ENTRY} to be called with (job name, payload), got {len(values)} arguments")
    return values[0], values[1]


def _inflate(data: bytes) -> bytes:
    if len(data) > MAX_INFLATED:
        raise UnreadableJob(f"its data of {len(data):,} bytes is larger than {MAX_INFLATED:,}")
    if data[:1] == b"[":  # no zlib stream begins so, and every job of ours does
        return data
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_INFLATED)
    except zlib.error:
        return data
    if inflater.unconsumed_tail:
        raise UnreadableJob(f"its data is larger than {MAX_INFLATED:,} bytes once inflated")
    return text

"""What to do when a job is enqueued that is there already.

A job declares one of these; it is decided in the script that enqueues, so of two callers at the same instant one wins.

    Unique(by=("empresa_id",))                          until it is done, a second one is the first one
    Throttle(timedelta(minutes=5), by=("empresa_id",))  for five minutes after the first, a second one is the first one
    Debounce(timedelta(seconds=10), by=("chat_id",))    ten seconds after the last one it runs, with the last payload

Two jobs are the same when their name, their company and the payload's fields ``by`` are (default: the whole payload).
A caller may give a key of its own instead of these fields: ``EnqueueOptions.unique_key``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

LONGEST_VALUE = 160
SHORTEST = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one that is not done: waiting, delayed (a retry too), active or parked. A further enqueue stores nothing
    and gives the id of that one. Completed, failed or canceled, it makes room for the next.
    """

    by: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most one in ``ttl``, counted from the first; whatever becomes of that one, except that a person cancels or
    removes it. Its id is given even when its retention has passed.
    """

    ttl: timedelta
    by: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Debounce:
    """Runs ``delay`` after the last enqueue, with the payload and priority of the last, and at the latest ``max_wait``
    after the first (default: no bound). What has begun to wait or run is left alone: the next enqueue is a new job.
    The delay replaces ``delay`` and ``run_at`` of the options.
    """

    delay: timedelta
    by: tuple[str, ...] | None = None
    max_wait: timedelta | None = None


Duplicates = Unique | Throttle | Debounce


def check_duplicates(policy: Duplicates | None, model: type[BaseModel]) -> str | None:
    """What is wrong with a job's policy, or None."""
    if policy is None:
        return None
    kind = type(policy).__name__
    if isinstance(policy.by, str):
        return f"{kind}: expected by to be a tuple of field names, got the text {policy.by!r}"
    for name in policy.by or ():
        if name not in model.model_fields:
            return f"{kind}: the payload has no field {name!r}"
    if isinstance(policy, Throttle) and policy.ttl < SHORTEST:
        return f"{kind}: expected ttl to be 1 ms or more, got {policy.ttl}"
    if isinstance(policy, Debounce) and policy.delay < SHORTEST:
        return f"{kind}: expected delay to be 1 ms or more, got {policy.delay}"
    if isinstance(policy, Debounce) and policy.max_wait is not None and policy.max_wait < policy.delay:
        return f"{kind}: expected max_wait to be no less than delay ({policy.delay}), got {policy.max_wait}"
    return None


def duplicates_key(policy: Duplicates, job: str, company: str, payload: BaseModel, unique_key: str | None) -> str:
    """Under which these count as the same: ``u:``, ``t:`` or ``d:``, then job, company and value.

    A long value, and a whole payload, is kept as its SHA-256.
    """
    kind = {Unique: "u", Throttle: "t", Debounce: "d"}[type(policy)]
    return f"{kind}:{job}|{quote(company, safe=':.@+-')}|{_value(policy.by, payload, unique_key)}"


def _value(by: tuple[str, ...] | None, payload: BaseModel, unique_key: str | None) -> str:
    if unique_key is not None:
        value = f"key={unique_key}"
    elif by is None:
        return _digest(_json(payload.model_dump(mode="json")))
    else:
        document = payload.model_dump(mode="json", by_alias=False, include=set(by))
        value = ",".join(f"{name}={_json(document[name])}" for name in by)
    return value if len(value) <= LONGEST_VALUE else _digest(value)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

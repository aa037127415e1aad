"""What is paused: queues, types of job, companies. Kept in one hash; an entry whose end has passed is no pause."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

from flowzz.clock import from_epoch_ms
from flowzz.queues import keys
from flowzz.queues.connection import redis_errors
from flowzz.queues.lanes import SAFE

UNREADABLE = "this pause cannot be read; resume it"
"""The reason of what somebody else wrote in a pause's place. The next claim or sweep drops what is not even JSON."""


class PauseKind(StrEnum):
    QUEUE = "queue"
    JOB = "job"
    COMPANY = "company"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One pause in force; ``until`` is None when somebody must resume it. ``by`` is who paused it, '' when unknown."""

    kind: PauseKind
    name: str
    reason: str
    until: datetime | None = None
    by: str = ""


def target(kind: PauseKind, name: str) -> str:
    """The pause's field in Redis. A company may hold any character, so it is quoted as in lanes."""
    return f"{kind.value}:{quote(name, safe=SAFE) if kind is PauseKind.COMPANY else name}"


def read_pauses(client: Any) -> list[Pause]:
    """All pauses in force: queues, then types of job, then companies, by name."""
    with redis_errors():
        found = client.hgetall(keys.PAUSED())
    pauses = [_pause(field.decode(errors="replace"), raw) for field, raw in found.items()]
    order = list(PauseKind)
    return sorted((p for p in pauses if p is not None), key=lambda p: (order.index(p.kind), p.name))


def in_force(raw: Any) -> tuple[str, datetime | None, str] | None:
    """Reason, end and maker of a stored pause; None when there is none, or it is over."""
    if not isinstance(raw, bytes):
        return None
    try:
        reason, until_ms, *by = json.loads(raw)
        until = from_epoch_ms(until_ms) if until_ms is not None else None
    except (ValueError, TypeError, RecursionError, OverflowError, OSError):
        return UNREADABLE, None, ""
    if until_ms is not None and until_ms <= time.time() * 1000:
        return None
    return str(reason), until, str(by[0]) if by else ""


def _pause(field: str, raw: bytes) -> Pause | None:
    kind, _, name = field.partition(":")
    found = in_force(raw)
    if kind not in set(PauseKind) or found is None:
        return None
    reason, until, by = found
    shown = unquote(name) if kind == PauseKind.COMPANY else name
    return Pause(kind=PauseKind(kind), name=shown, reason=reason, until=until, by=by)

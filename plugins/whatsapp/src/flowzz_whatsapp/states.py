"""How far a message is, as a function of what was said of it: whatever the order, and however often it is said.

    waiting ⇄ sending → accepted (or held) → sent → delivered → read
       ↘          ↘ unknown ↗                     ↘ failed, unless it was delivered all the same
          dropped ↙

Meta does not keep the order of its webhooks, leaves some out and repeats others (reference §7.7). So a message's state
is computed anew from all its statuses each time one comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """``WAITING`` was surely not taken and is tried again; ``SENDING`` is on its way; ``UNKNOWN`` left us without an
    answer; ``ACCEPTED`` was taken by Meta, ``HELD`` for a look at its template. ``DROPPED`` is not to be sent any
    more: its job was canceled, or a person said so of one whose outcome is unknown. The rest is as Meta says.
    """

    WAITING = "waiting"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    HELD = "held"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    DROPPED = "dropped"


IN_FLIGHT = (State.SENDING, State.UNKNOWN)
BEFORE_ACCEPTED = (State.WAITING, *IN_FLIGHT)
AT_REST = (State.ACCEPTED, State.SENT, State.DELIVERED, State.READ, State.FAILED, State.DROPPED)
"""Nothing is sent any more by itself. A held one may still be refused, and is then sent again by a person."""

_SAID = {
    "sent": State.SENT,
    "delivered": State.DELIVERED,
    "read": State.READ,
    "played": State.READ,
    "failed": State.FAILED,
}
_BEST_FIRST = (State.READ, State.DELIVERED, State.FAILED, State.SENT)
"""What counts of several: a failure only where nothing arrived."""


@dataclass(frozen=True, slots=True)
class Said:
    """One status as Meta told it; ``status`` is Meta's word."""

    status: str
    happened_at: datetime
    error_code: int | None = None
    problem: str | None = None


def state_after(said: Iterable[Said]) -> dict[str, Any]:
    """The message's columns that its statuses decide; empty when they decide nothing (unknown words are ignored)."""
    known = [(_SAID[one.status], one) for one in said if one.status in _SAID]
    if not known:
        return {}
    states = {state for state, _ in known}
    state = next(best for best in _BEST_FIRST if best in states)
    failure = next((one for found, one in known if found is State.FAILED), None) if state is State.FAILED else None
    columns: dict[str, Any] = {
        f"{moment.value}_at": min((one.happened_at for found, one in known if found is moment), default=None)
        for moment in (State.SENT, State.DELIVERED, State.READ, State.FAILED)
    }
    return columns | {
        "state": state.value,
        "error_code": failure.error_code if failure else None,
        "problem": failure.problem if failure else None,
    }

"""What a person says of a message whose outcome nobody else will tell: it arrived, or it is dropped.

The third answer, sending it again, is ``resending``. A status that comes later still says better.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import update

from flowzz.clock import now
from flowzz.errors import InvalidRequest
from flowzz.jobs.context import StorePort
from flowzz_whatsapp.listing import message_of
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.resending import still_open
from flowzz_whatsapp.states import State


class Decision(StrEnum):
    """``ARRIVED``: it is in the recipient's chat, so the message is ``sent``. ``DROPPED``: it is not to be sent any
    more, whether it arrived or not.
    """

    ARRIVED = "arrived"
    DROPPED = "dropped"


_STATES = {Decision.ARRIVED: State.SENT, Decision.DROPPED: State.DROPPED}
_WORDS = {
    Decision.ARRIVED: "{by} found it in the recipient's chat",
    Decision.DROPPED: "nobody knows whether it was sent, and {by} dropped it",
}


def may_decide(row: Mapping[str, Any]) -> bool:
    """True for a message whose outcome nobody will learn by waiting longer."""
    return _hindrance(row) is None


def decide(store: StorePort, message: int, decision: Decision, by: str) -> None:
    """Write down what ``by`` (a person's name) says of a message.

    Raises NotFound, and InvalidRequest when the message's state does not admit it, or changed just now.
    """
    row = message_of(store, message)
    if hindrance := _hindrance(row):
        raise InvalidRequest(f"nothing is to be decided about message {message}: {hindrance}")
    at = now()
    change = (
        update(messages)
        .where(messages.c.id == message, messages.c.state == State.UNKNOWN, messages.c.unknown_at == row["unknown_at"])
        .values(state=_STATES[decision].value, problem=_WORDS[decision].format(by=by), updated_at=at)
        .returning(messages.c.id)
    )
    if decision is Decision.ARRIVED:
        change = change.values(sent_at=row["requested_at"])
    if not store.write(lambda session: session.scalars(change).all()):
        raise InvalidRequest(f"message {message} changed just now: look at it again")


def _hindrance(row: Mapping[str, Any]) -> str | None:
    if row["state"] != State.UNKNOWN:
        return f"it is {row['state']}; only the outcome of unknown ones is open"
    return still_open(row)

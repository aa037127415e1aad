"""Looking through the log of messages: by company, by state, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select

from flowzz.errors import NotFound
from flowzz.jobs.context import StorePort
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.states import State

Row = Mapping[str, Any]
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class MessagePage:
    """``rows`` of the ``total`` messages that fit; ``counts`` is by state, whatever state was asked for."""

    rows: Sequence[Row]
    total: int
    counts: Mapping[State, int]


def list_messages(
    store: StorePort, *, company_id: str | None = None, state: State | None = None, offset: int = 0, limit: int = 50
) -> MessagePage:
    """Messages, the newest first; of one company or all, in one state or any."""
    counting = _of(select(messages.c.state, func.count()).group_by(messages.c.state), company_id, None)
    query = _of(select(messages), company_id, state).order_by(messages.c.created_at.desc(), messages.c.id.desc())
    with store.session() as session:
        counts = {State(word): count for word, count in session.execute(counting)}
        rows = session.execute(query.offset(offset).limit(limit)).mappings().all()
    total = sum(counts.values()) if state is None else counts.get(state, 0)
    return MessagePage([dict(row) for row in rows], total, counts)


def message_of(store: StorePort, message: int) -> Row:
    """One row by its id. Raises NotFound."""
    with store.session() as session:
        known = 0 < message <= LARGEST_ID
        row = session.execute(select(messages).where(messages.c.id == message)).mappings().first() if known else None
    if row is None:
        raise NotFound(f"no message has the number {message}")
    return dict(row)


def _of(query: Select[Any], company_id: str | None, state: State | None) -> Select[Any]:
    if company_id is not None:
        query = query.where(messages.c.company_id == company_id)
    return query if state is None else query.where(messages.c.state == state.value)

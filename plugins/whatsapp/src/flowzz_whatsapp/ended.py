"""``whatsapp.close_ended``: messages whose job came to its end without saying so in the log of messages.

    waiting, its job canceled or removed → dropped
    waiting, its job failed (it stalled too often, say) → failed
    sending, its job at any end → unknown: it may have left us

A job that runs again, because a person wants it, finds the message as it would have left it. What has not changed for
``PATIENCE`` is looked at every ten minutes; one that changes meanwhile is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from flowzz.clock import now
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.state import JobState
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.states import State
from flowzz_whatsapp.webhooks import WEBHOOK_QUEUE

CLOSE_JOB = "whatsapp.close_ended"
PATIENCE = timedelta(minutes=10)
"""Longer than a run takes from the row to its request, and a job from its row to its end."""
CHUNK = 500

Row = Mapping[str, Any]


class CloseEnded(Payload):
    """Look at the messages of a company that are waiting, or on their way, and have not changed for ten minutes."""

    empresa_id: str


class Closed(Result):
    """How many messages came to which state."""

    dropped: int = 0
    failed: int = 0
    unknown: int = 0


@job(CLOSE_JOB, queue=WEBHOOK_QUEUE, timeout=timedelta(minutes=10), duplicates=Unique(by=("empresa_id",)))
def close_ended(ctx: JobContext, data: CloseEnded) -> Closed:
    """Say of messages whose job has ended what became of them. The next run goes on where one was stopped."""
    counts: Counter[str] = Counter()
    before, after = now() - PATIENCE, 0
    while not ctx.stopping:
        ctx.raise_if_canceled()
        rows = _stale_rows(ctx.store, data.empresa_id, before, after)
        if not rows:
            break
        after = rows[-1]["id"]
        states = ctx.job_states([row["job_id"] for row in rows])
        ends = [(row, end) for row in rows if (end := _end(row, states.get(row["job_id"]))) is not None]
        counts.update(_closed(ctx.store, ends))
    return Closed(**counts)


def companies_to_close(store: StorePort) -> Iterator[CloseEnded]:
    """One payload for each company that has such messages; usually none."""
    before = now() - PATIENCE
    with store.snapshot() as session:
        found = [company for company in _companies(session) if session.scalar(_stale(company, before).limit(1))]
    return (CloseEnded(empresa_id=company) for company in found)


def _companies(session: Session) -> Iterator[str]:
    """Those that have messages: one look into an index for each, where DISTINCT would go through all messages."""
    column = messages.c.company_id
    company: str | None = ""
    while (company := session.scalar(select(func.min(column)).where(column > company))) is not None:
        yield company


def _stale(company_id: str, before: datetime) -> Select[int]:
    words = (State.WAITING.value, State.SENDING.value)
    mine = (messages.c.company_id == company_id, messages.c.state.in_(words))
    return select(messages.c.id).where(*mine, messages.c.updated_at < before)


def _stale_rows(store: StorePort, company_id: str, before: datetime, after: int) -> Sequence[Row]:
    columns = (messages.c.job_id, messages.c.state, messages.c.problem, messages.c.requested_at, messages.c.updated_at)
    query = _stale(company_id, before).add_columns(*columns).where(messages.c.id > after)
    with store.snapshot() as session:
        return [dict(row) for row in session.execute(query.order_by(messages.c.id).limit(CHUNK)).mappings()]


def _end(row: Row, stands: JobState | None) -> dict[str, Any] | None:
    """The message's new values; None while its job has not ended. ``stands`` is None for a job that is gone."""
    if stands is not None and not stands.is_final:
        return None
    at = now()
    if row["state"] == State.SENDING:
        said = "its job ended before it knew the answer"
        return {"state": State.UNKNOWN.value, "problem": said, "unknown_at": row["requested_at"], "updated_at": at}
    if stands is JobState.FAILED:
        said = row["problem"] or "its job failed before it was sent"
        return {"state": State.FAILED.value, "problem": said, "failed_at": at, "updated_at": at}
    became = "canceled" if stands is JobState.CANCELED else "removed"
    return {"state": State.DROPPED.value, "problem": f"its job was {became} before it was sent", "updated_at": at}


def _closed(store: StorePort, ends: Sequence[tuple[Row, Mapping[str, Any]]]) -> list[str]:
    """The states that were written; not of messages that changed since they were read."""

    def close(session: Session) -> list[str]:
        written: list[str] = []
        for row, end in ends:
            seen = (messages.c.id == row["id"], messages.c.state == row["state"])
            change = update(messages).where(*seen, messages.c.updated_at == row["updated_at"]).values(**end)
            written += session.scalars(change.returning(messages.c.state)).all()
        return written

    return store.write(close) if ends else []

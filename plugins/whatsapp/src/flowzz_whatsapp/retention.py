"""``whatsapp.delete_old``: personal data is not kept for ever. Hourly, in chunks, each one transaction.

    message at rest for ``keep``  → its content and statuses go, the row stays as a guard
    guard that no job can outlive → the row goes
    status of no message of ours, contact silent, news of Meta, for ``keep`` · webhook, for ``keep_webhooks`` → it goes

A message's row is what keeps a job that runs again from sending again, so it stays until every job that could has been
forgotten. What still needs its content keeps it: a message that waits, is on its way, is held, or whose outcome nobody
knows yet. A chunk that was committed is not found again, so a sweep that is killed is simply begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, delete, exists, null, or_, select, update
from sqlalchemy.orm import Session

from flowzz.clock import now
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.payload import Payload, Result
from flowzz.settings import Settings
from flowzz_whatsapp.configuration import WhatsAppSettings
from flowzz_whatsapp.models import account_news, contacts, events, messages, statuses
from flowzz_whatsapp.states import AT_REST, State
from flowzz_whatsapp.webhooks import WEBHOOK_QUEUE

DELETE_JOB = "whatsapp.delete_old"
CHUNK = 500
"""Rows of one transaction: some 20 ms of SQLite's one write lock."""
LARGE_CHUNK = 50
"""Of webhooks, which may have 3 MB each."""
MARGIN = timedelta(days=30)
"""A job that a person ran again may wait in a paused queue before it finds its message."""

WITHOUT_WAMID = "deleted"
"""Instead of a wamid, which has the recipient's number in it; that there was one still says that Meta took it."""

_again = messages.alias("again")
_IS_DONE_WITH = or_(
    messages.c.state.in_(AT_REST),
    # Nobody will learn what came of it, but a person had it sent again, as a message with a content of its own.
    and_(messages.c.state == State.UNKNOWN, exists().where(_again.c.resend_of == messages.c.id)),
)
_BLANK = {
    "recipient": "",
    "match_key": "",
    "body": "",
    "template_parts": null(),
    "wa_id": None,
    "user_id": None,
    # Meta's words may quote what was sent; the error's code stays and is explained.
    "problem": None,
    "message_id": case((messages.c.message_id.is_not(None), WITHOUT_WAMID), else_=None),
}

Chunk = Callable[[Session], int]


class DeleteOld(Payload):
    """Nothing to say."""


class Deleted(Result):
    """How many messages lost their ``contents``, and how many ``messages``, ``statuses``, ``webhooks``, ``contacts``
    and ``news`` went. Statuses that went with their message's content are not counted.
    """

    contents: int = 0
    messages: int = 0
    statuses: int = 0
    webhooks: int = 0
    contacts: int = 0
    news: int = 0


@job(DELETE_JOB, queue=WEBHOOK_QUEUE, timeout=timedelta(minutes=15), duplicates=Unique(by=()))
def delete_old(ctx: JobContext, data: DeleteOld) -> Deleted:
    """Delete contents, webhooks and contacts whose time is over, and what is left of messages when no job needs it.

    Ends early when its worker is asked to stop: the next one goes on from there.
    """
    kept, at = WhatsAppSettings.load(), now()
    guards, silent = _is_no_guard(at - guarded_for(ctx.settings, kept)), contacts.c.last_incoming_at < at - kept.keep
    told = account_news.c.happened_at
    steps: dict[str, Chunk] = {
        "contents": _blanking(at - kept.keep),
        "messages": _deleting(CHUNK, messages, guards, by=messages.c.created_at),
        "statuses": _deleting(CHUNK, statuses, _is_loose(at - kept.keep), by=statuses.c.id),
        "webhooks": _deleting(LARGE_CHUNK, events, _is_processed(at - kept.keep_webhooks), by=events.c.arrived_at),
        "contacts": _deleting(CHUNK, contacts, silent, by=contacts.c.last_incoming_at),
        "news": _deleting(CHUNK, account_news, told < at - kept.keep, by=told),
    }
    return Deleted(**{name: _in_chunks(ctx, chunk) for name, chunk in steps.items()})


def one_deletion(_store: StorePort) -> Iterator[DeleteOld]:
    """One job a tick, for all companies."""
    yield DeleteOld()


def guarded_for(settings: Settings, kept: WhatsAppSettings) -> timedelta:
    """How long after its last change a message's row stays: longer than any job that could send it again.

    A run that finds its message sent already counts as a change, since its job is kept anew from then on.
    """
    job_for = timedelta(seconds=max(settings.keep_completed_for, settings.keep_failed_for))
    return max(job_for + MARGIN, kept.keep)


def _in_chunks(ctx: JobContext, chunk: Chunk) -> int:
    """How many rows it were in all; a chunk that finds nothing is the end."""
    total = 0
    while not ctx.stopping:
        ctx.raise_if_canceled()
        with ctx.store.session() as session:
            found = chunk(session)
        if not found:
            break
        total += found
    return total


def _blanking(before: datetime) -> Chunk:
    """Takes content and statuses of a chunk of messages that are done with and have not changed since ``before``."""
    due = (
        select(messages.c.id)
        # ``created_at`` says nothing more, but is indexed for these rows.
        .where(messages.c.content_deleted_at.is_(None), messages.c.created_at < before)
        .where(messages.c.updated_at < before, _IS_DONE_WITH)
        .order_by(messages.c.created_at)
    )

    def blank(session: Session) -> int:
        ids = _locked(session, due, CHUNK)
        if ids:
            session.execute(delete(statuses).where(statuses.c.message_row.in_(ids)))
            session.execute(update(messages).where(messages.c.id.in_(ids)).values(**_BLANK, content_deleted_at=now()))
        return len(ids)

    return blank


def _deleting(rows: int, table: Table, condition: ColumnElement[bool], *, by: ColumnElement[Any]) -> Chunk:
    """Takes a chunk of so many rows away, ordered by a column that finds them quickly."""
    due = select(table.c.id).where(condition).order_by(by)

    def remove(session: Session) -> int:
        ids = _locked(session, due, rows)
        if ids:
            session.execute(delete(table).where(table.c.id.in_(ids)))
        return len(ids)

    return remove


def _locked(session: Session, due: Select[int], rows: int) -> Sequence[int]:
    """Ids of a chunk; nobody changes these rows before it is committed, and none is waited for that somebody holds."""
    return session.scalars(due.limit(rows).with_for_update(skip_locked=True)).all()


def _is_no_guard(before: datetime) -> ColumnElement[bool]:
    return and_(
        messages.c.content_deleted_at.is_not(None), messages.c.created_at < before, messages.c.updated_at < before
    )


def _is_loose(before: datetime) -> ColumnElement[bool]:
    return and_(statuses.c.message_row.is_(None), statuses.c.arrived_at < before)


def _is_processed(before: datetime) -> ColumnElement[bool]:
    """One that is still pending is not lost, however late it is processed."""
    return and_(events.c.processed_at.is_not(None), events.c.arrived_at < before)

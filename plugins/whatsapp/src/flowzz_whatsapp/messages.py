"""The log of messages: what is about to be sent is on record before it is, so that nothing is blindly sent twice.

Meta knows no idempotency key. A row in state ``sending`` was handed over, or was about to be; only the execution that
put it there learns the answer. Whoever else finds it so (a rerun after a crash) marks it ``unknown`` and waits for its
status webhook. An attempt begins only from ``waiting`` or ``failed``, so at most one is ever under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Update, bindparam, case, exists, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from flowzz.clock import now
from flowzz.errors import Permanent
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import StorePort
from flowzz.store.bulk import inserted
from flowzz_whatsapp.client import Taken
from flowzz_whatsapp.connection import WhatsAppConnection
from flowzz_whatsapp.models import CONTENT, contacts, messages, statuses
from flowzz_whatsapp.numbers import match_key
from flowzz_whatsapp.payloads import SendMessage
from flowzz_whatsapp.reconciling import attach
from flowzz_whatsapp.states import BEFORE_ACCEPTED, IN_FLIGHT, State

Row = Mapping[str, Any]
Result = TypeVar("Result")

PAUSES = (timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2))
HELD = "held_for_quality_assessment"

_UNSAID = messages.c.state.in_(BEFORE_ACCEPTED)
# Made once: each message would put them together and key them anew.
_EARLY = (
    select(statuses.c.id)
    .where(
        statuses.c.company_id == bindparam("of_company"),
        statuses.c.message_id == bindparam("new_message_id"),
        statuses.c.message_row.is_(None),
    )
    .limit(1)
)
_TOOK = (
    update(messages)
    .where(messages.c.id == bindparam("of_row"))
    .values(
        # A status that came first knows more than the answer does.
        state=case((_UNSAID, bindparam("new_state")), else_=messages.c.state),
        problem=case((_UNSAID, None), else_=messages.c.problem),
        error_code=case((_UNSAID, None), else_=messages.c.error_code),
        message_id=bindparam("new_message_id"),
        wa_id=bindparam("new_wa_id"),
        user_id=bindparam("new_user_id"),
        accepted_at=bindparam("at"),
        updated_at=bindparam("at"),
        throttles=0,
    )
    .returning(messages.c.state, exists(_EARLY).label("has_early"))
)
_STATE_OF = select(messages.c.state).where(messages.c.id == bindparam("of_row"))


def correlation_of(job_id: str) -> str:
    """What Meta echoes of a job's message in each of its statuses."""
    return f"job:{job_id}"


class MessageLog:
    """The rows of ``whatsapp_messages``; each call is one transaction or two.

    What an attempt came to is worth some patience: a database that is locked or away is asked again for some seconds
    before OperationalError is raised.
    """

    def __init__(self, store: StorePort, *, pauses: Sequence[timedelta] = PAUSES) -> None:
        self._store = store
        self._pauses = pauses

    def begin(self, job_id: str, data: SendMessage, connection: Connection, settings: WhatsAppConnection) -> Row:
        """Put an attempt on record; the message's row as it stands now.

        ``sending`` with ``is_ours`` says that the caller, and nobody else, may send. Any other state says what is
        known from an earlier run; one that was ``sending`` is ``unknown`` by now. Raises Permanent when the job's id
        was used for another message before.
        """
        fresh = _new_row(job_id, data, connection, settings)

        def record(session: Session) -> Row:
            if made := inserted(session, messages, [fresh], ("correlation",), "id"):
                return {**fresh, "id": made[0], "is_ours": True}
            row = _locked(session, fresh["correlation"])
            if row["fingerprint"] != fresh["fingerprint"]:
                raise Permanent(
                    f"a job with the id {job_id} sent another message before (row {row['id']}); its id is what keeps "
                    "it from being sent twice, so give each message a job id of its own"
                )
            return _resumed(session, row, fresh)

        return self._store.write(record)

    def took(self, row: Row, taken: Taken) -> State:
        """Meta took the message; where it stands now, statuses included that came before the answer."""
        state, at = State.HELD if taken.status == HELD else State.ACCEPTED, now()
        given = {
            "of_row": row["id"],
            "of_company": row["company_id"],
            "new_state": state.value,
            "new_message_id": taken.message_id,
            "new_wa_id": taken.wa_id,
            "new_user_id": taken.user_id,
            "at": at,
        }
        stands, is_sure = self._patiently(lambda session: _settled(session, given))
        if not is_sure:
            # After the commit: a status that comes in from now on sees our wamid, one that came before is seen here.
            with self._store.snapshot() as session:
                is_sure = session.execute(_EARLY, given).first() is None
        if not is_sure:
            stands = self._store.write(lambda session: _attached(session, given))
        return State(stands or state)

    def refused(
        self, row: Row, state: State, problem: str, *, code: int | None = None, throttled: bool = False
    ) -> None:
        """Meta surely did not take it: ``waiting`` for the next attempt, or ``failed``."""
        at = now()
        values: dict[str, Any] = {"state": state.value, "problem": problem, "error_code": code, "updated_at": at}
        values["throttles"] = messages.c.throttles + 1 if throttled else messages.c.throttles
        if state is State.FAILED:
            values["failed_at"] = at
        self._change(_in_flight(row).values(values))

    def lost(self, row: Row, problem: str) -> None:
        """It may have been taken: ``unknown`` until a status says more."""
        at = now()
        self._change(_in_flight(row).values(state=State.UNKNOWN.value, problem=problem, unknown_at=at, updated_at=at))

    def last_incoming(self, company_id: str, phone_number_id: str, recipient: str) -> datetime | None:
        """When the person last wrote to this sender, as far as webhooks told; None when none did."""
        query = select(contacts.c.last_incoming_at).where(
            contacts.c.company_id == company_id,
            contacts.c.phone_number_id == phone_number_id,
            contacts.c.contact_key == match_key(recipient),
        )
        with self._store.session() as session:
            return session.scalar(query)

    def _change(self, change: Update) -> None:
        self._patiently(lambda session: session.execute(change))

    def _patiently(self, work: Callable[[Session], Result]) -> Result:
        """What ``work`` returns, its session committed; begun again where the database cannot just then."""
        for pause in self._pauses:
            try:
                return self._store.write(work)
            except OperationalError:
                time.sleep(pause.total_seconds())
        return self._store.write(work)


def _settled(session: Session, given: Row) -> tuple[str | None, bool]:
    """Writes the answer down; the message's state now, and whether no status that came before it can be left over.

    Two writers of PostgreSQL may each miss what the other has not committed yet; SQLite has one at a time.
    """
    changed = session.execute(_TOOK, given).first()
    stands = None if changed is None else changed.state
    if changed is not None and changed.has_early:
        stands = _attached(session, given)
    return stands, session.get_bind().dialect.name == "sqlite"


def _attached(session: Session, given: Row) -> str | None:
    attach(session, given["of_company"], [given["new_message_id"]])
    return session.scalar(_STATE_OF, given)


def _in_flight(row: Row) -> Update:
    """A change that counts only while nothing better is known of the message."""
    return update(messages).where(messages.c.id == row["id"], messages.c.state.in_(IN_FLIGHT))


def _locked(session: Session, correlation: str) -> Row:
    query = select(messages).where(messages.c.correlation == correlation).with_for_update()
    return dict(session.execute(query).mappings().one())


def _resumed(session: Session, row: Row, fresh: Row) -> Row:
    """What a run that finds the row does with it. Whatever it is, the row is needed for as long again as the job is."""
    at = now()
    change: dict[str, Any] = {}
    never_taken = row["state"] == State.FAILED and row["message_id"] is None
    # A person had the canceled job run; where the message may have been taken, a resend is what they have to ask for.
    revived = row["state"] == State.DROPPED and row["unknown_at"] is None
    if row["state"] == State.WAITING or never_taken or revived:
        change = {
            "state": State.SENDING.value,
            "attempts": row["attempts"] + 1,
            "requested_at": at,
            "failed_at": None,
        }
        if row["content_deleted_at"] is not None:
            change |= {name: fresh[name] for name in CONTENT} | {"content_deleted_at": None}
    elif row["state"] == State.SENDING:
        change = {
            "state": State.UNKNOWN.value,
            "unknown_at": at,
            "problem": "the run that sent it ended before it knew the answer",
        }
    session.execute(update(messages).where(messages.c.id == row["id"]).values(**change, updated_at=at))
    return {**row, **change, "is_ours": change.get("state") == State.SENDING}


def _new_row(job_id: str, data: SendMessage, connection: Connection, settings: WhatsAppConnection) -> dict[str, Any]:
    at = now()
    parts = {"params": data.template_params, "header": data.template_header, "buttons": data.template_buttons}
    return {
        "company_id": connection.company_id,
        "connection_id": connection.id,
        "phone_number_id": settings.phone_number_id,
        "job_id": job_id,
        "correlation": correlation_of(job_id),
        "fingerprint": data.fingerprint,
        "recipient": data.to,
        "match_key": match_key(data.to),
        "kind": "text" if data.template_name is None else "template",
        "body": data.message,
        "template_name": data.template_name,
        "template_language": data.template_language or (settings.template_language if data.template_name else None),
        "template_parts": parts if data.template_name else None,
        "state": State.SENDING.value,
        "attempts": 1,
        "throttles": 0,
        "resend_of": data.resend_of,
        "created_at": at,
        "requested_at": at,
        "updated_at": at,
    }

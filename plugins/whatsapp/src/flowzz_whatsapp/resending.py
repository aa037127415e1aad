"""Sending a message again because a person wants it; nothing here is done by itself.

What a person decides about one message is one new job, with an id made of the message's correlation: asked twice, it
is sent once. The message's number would not do, since SQLite gives those of deleted rows out again. The new message has
a row of its own, which names the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from flowzz.clock import now
from flowzz.errors import InvalidRequest
from flowzz.jobs.context import EnqueuePort, StorePort
from flowzz.jobs.options import EnqueueOptions
from flowzz_whatsapp.listing import message_of
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.send import SEND_JOB, UNKNOWN_LIMIT
from flowzz_whatsapp.states import State


def may_resend(row: Mapping[str, Any]) -> bool:
    """True for a message that failed or was dropped, or whose outcome nobody will learn by waiting longer."""
    return _hindrance(row) is None


def resend(store: StorePort, queue: EnqueuePort, message: int) -> str:
    """Send a message again; the id of the new job.

    Raises NotFound, InvalidRequest when the message's state does not admit it or it was sent again before, and what
    the enqueue raises.
    """
    row = message_of(store, message)
    if hindrance := _hindrance(row) or _sent_again(store, message):
        raise InvalidRequest(f"message {message} cannot be sent again: {hindrance}")
    job_id = _job_id(row)
    return queue.enqueue(SEND_JOB, _payload(row), EnqueueOptions(job_id=job_id, nonce=job_id))


def _job_id(row: Mapping[str, Any]) -> str:
    """The same for every request; a row of before ids were made like this keeps the one that may be queued already."""
    if row["resend_job"] is not None:
        return str(row["resend_job"])
    return f"whatsapp-resend-{hashlib.sha256(row['correlation'].encode()).hexdigest()[:40]}"


def _hindrance(row: Mapping[str, Any]) -> str | None:
    state = State(row["state"])
    if row["content_deleted_at"] is not None:
        return f"its content was deleted on {row['content_deleted_at']:%Y-%m-%d}, since messages are not kept for ever"
    if state in (State.FAILED, State.DROPPED):
        return None
    if state is not State.UNKNOWN:
        return f"it is {state}; only failed and dropped messages and those of unknown outcome are"
    return still_open(row)


def still_open(row: Mapping[str, Any]) -> str | None:
    """Why nobody can decide yet about a message of unknown outcome; None when its time is over."""
    ends = row["unknown_at"] + UNKNOWN_LIMIT
    return None if now() >= ends else f"its status may still come; until {ends:%H:%M} UTC it is waited for"


def _sent_again(store: StorePort, message: int) -> str | None:
    with store.session() as session:
        again = session.scalar(select(messages.c.id).where(messages.c.resend_of == message).limit(1))
    return None if again is None else f"it was, as message {again}"


def _payload(row: Mapping[str, Any]) -> dict[str, Any]:
    payload = {"empresaId": row["company_id"], "to": row["recipient"], "message": row["body"], "resendOf": row["id"]}
    if row["kind"] == "template":
        parts = row["template_parts"] or {}
        payload |= {
            "templateName": row["template_name"],
            "templateLanguage": row["template_language"],
            "templateParams": parts.get("params"),
            "templateHeader": parts.get("header"),
            "templateButtons": parts.get("buttons"),
        }
    return payload

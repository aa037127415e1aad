"""Where a user of Flowzz may be told things by WhatsApp.

The number belongs to the person, not to a company's connection: one person may look after several companies, and a
company's connection names the number that sends. So it has a table of its own, and goes with its user.
"""

from __future__ import annotations

from sqlalchemy import delete, select

from flowzz.clock import now
from flowzz.errors import InvalidRequest
from flowzz.jobs.context import StorePort
from flowzz.store.bulk import upsert
from flowzz_whatsapp.models import user_phones
from flowzz_whatsapp.numbers import BSUID, recipient_of


def set_phone(store: StorePort, user_id: str, number: str) -> str:
    """Tell this user by WhatsApp from now on; the number as it was stored. Raises InvalidRequest when it is none."""
    try:
        phone = recipient_of(number)
    except ValueError as error:
        raise InvalidRequest(f"phone: {error}") from None
    if BSUID.match(phone):
        raise InvalidRequest("phone: expected a phone number, got a user id of WhatsApp")
    with store.session() as session:
        upsert(session, user_phones, [{"user_id": user_id, "phone": phone, "updated_at": now()}], ("user_id",))
    return phone


def remove_phone(store: StorePort, user_id: str) -> bool:
    """Tell this user nothing by WhatsApp any more; False when nothing was told."""
    with store.session() as session:
        gone = session.execute(
            delete(user_phones).where(user_phones.c.user_id == user_id).returning(user_phones.c.user_id)
        )
        return gone.first() is not None


def phone_of(store: StorePort, user_id: str) -> str | None:
    with store.session() as session:
        return session.scalar(select(user_phones.c.phone).where(user_phones.c.user_id == user_id))


def phones(store: StorePort) -> dict[str, str]:
    """User id to phone."""
    with store.session() as session:
        return {row.user_id: row.phone for row in session.execute(select(user_phones))}

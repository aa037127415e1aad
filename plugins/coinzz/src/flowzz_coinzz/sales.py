"""Making a sale at most once, though Coinzz knows no idempotency key.

"About to send" is on record before the call. After that the attempt is ``done``, ``refused`` (by Coinzz; may be sent
again) or ``unknown``: then it is never sent again by us. The order's webhook settles it, matched by company,
document and offer within ``MATCH_WINDOW``; when none comes, a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flowzz.clock import now
from flowzz.errors import NeedsCredentials, Permanent, Throttled
from flowzz.jobs.context import StorePort
from flowzz.store.bulk import insert_missing, upsert
from flowzz_coinzz.client import CoinzzClient
from flowzz_coinzz.coerce import document as bare_document
from flowzz_coinzz.errors import Refused, TransientError, UnknownOutcome, WrongEndpoint
from flowzz_coinzz.models import sale_attempts
from flowzz_coinzz.upstream import NewSale, create_sale

MATCH_WINDOW = timedelta(hours=1)
CLOCK_SKEW = timedelta(minutes=5)


class Attempt(StrEnum):
    SENDING = "sending"
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def create_once(store: StorePort, client: CoinzzClient, company_id: str, sale_key: str, sale: NewSale) -> str:
    """Make the sale that the caller calls ``sale_key``; the order's number. Called again, the same number.

    Raises UnknownOutcome when it may exist already: after a lost answer, or a crash between sending and writing down.
    """
    known = _claim(store, company_id, sale_key, sale)
    if known is not None:
        return known
    try:
        made = create_sale(client, sale)
    except (Refused, WrongEndpoint, TransientError, Throttled, NeedsCredentials) as error:
        _settle(store, company_id, sale_key, Attempt.REFUSED, problem=str(error))
        raise
    except Permanent as error:
        _settle(store, company_id, sale_key, Attempt.UNKNOWN, problem=str(error))
        raise
    _settle(store, company_id, sale_key, Attempt.DONE, order_hash=made[0].order_hash)
    return made[0].order_hash


def settle_unknown_sales(session: Session, company_id: str, orders: Sequence[Mapping[str, Any]]) -> None:
    """Recognise among ``orders`` those that a sale of unknown outcome made."""
    query = select(sale_attempts).where(
        sale_attempts.c.company_id == company_id, sale_attempts.c.state.in_((Attempt.SENDING, Attempt.UNKNOWN))
    )
    for attempt in session.execute(query).mappings().all():
        for order in orders:
            if _is_made_by(dict(attempt), order):
                _mark(session, company_id, attempt["sale_key"], Attempt.DONE, order_hash=order["order_number"])
                break


def _is_made_by(attempt: Mapping[str, Any], order: Mapping[str, Any]) -> bool:
    if (order["client_document"], order["offer_code"]) != (attempt["document"], attempt["offer_code"]):
        return False
    made = order["ordered_at"] or order["first_seen_at"]
    sent = attempt["sent_at"]
    return bool(sent - CLOCK_SKEW <= made <= sent + MATCH_WINDOW)


def _claim(store: StorePort, company_id: str, sale_key: str, sale: NewSale) -> str | None:
    """Write down that the sale is about to be sent; or the number of the order it made before."""
    with store.session() as session:
        query = select(sale_attempts).where(
            sale_attempts.c.company_id == company_id, sale_attempts.c.sale_key == sale_key
        )
        known = session.execute(query.with_for_update()).mappings().first()
        if known is not None and known["state"] == Attempt.DONE:
            return str(known["order_hash"])
        if known is not None and known["state"] != Attempt.REFUSED:
            raise _already_sent(sale_key)
        row = {
            "company_id": company_id,
            "sale_key": sale_key,
            "state": Attempt.SENDING.value,
            "document": bare_document(sale.customer.document) or "",
            "offer_code": sale.offer_hash,
            "sent_at": now(),
            "order_hash": None,
            "problem": None,
        }
        key = ("company_id", "sale_key")
        if known is not None:
            upsert(session, sale_attempts, [row], key)
        elif insert_missing(session, sale_attempts, [row], key) == 0:
            raise _already_sent(sale_key)
    return None


def _already_sent(sale_key: str) -> UnknownOutcome:
    return UnknownOutcome(
        f"sale {sale_key!r} was sent before and its outcome is not known; "
        "wait for its webhook, or look for it in the panel"
    )


def _settle(store: StorePort, company_id: str, sale_key: str, state: Attempt, **values: str) -> None:
    with store.session() as session:
        _mark(session, company_id, sale_key, state, **values)


def _mark(session: Session, company_id: str, sale_key: str, state: Attempt, **values: str) -> None:
    session.execute(
        update(sale_attempts)
        .where(sale_attempts.c.company_id == company_id, sale_attempts.c.sale_key == sale_key)
        .values(state=state.value, **values)
    )

"""What Meta tells of templates, numbers and the account itself: kept, and looked through newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from flowzz.jobs.context import StorePort
from flowzz.store.bulk import insert_missing
from flowzz_whatsapp.models import account_news
from flowzz_whatsapp.updates import AccountNews

Row = Mapping[str, Any]
_KEY = ("company_id", "digest")


def store_news(session: Session, company_id: str, news: Iterable[AccountNews], arrived_at: datetime) -> None:
    """Store what is not there yet. What names no time happened when its webhook came."""
    rows = {
        one.digest: {**asdict(one), "company_id": company_id, "happened_at": one.happened_at or arrived_at}
        for one in news
    }
    # In the order of the key, so that two events that say the same never wait for each other.
    insert_missing(session, account_news, [rows[digest] for digest in sorted(rows)], _KEY)


def list_news(store: StorePort, *, company_id: str | None = None, offset: int = 0, limit: int = 50) -> Sequence[Row]:
    """The newest first, of one company or all."""
    query = select(account_news).order_by(account_news.c.happened_at.desc(), account_news.c.id.desc())
    with store.snapshot() as session:
        return [dict(row) for row in session.execute(_of(query, company_id).offset(offset).limit(limit)).mappings()]


def count_news(store: StorePort, company_id: str | None = None) -> int:
    """How many there are, of one company or all."""
    with store.snapshot() as session:
        return session.scalar(_of(select(func.count()).select_from(account_news), company_id)) or 0


def _of(query: Select[Any], company_id: str | None) -> Select[Any]:
    return query if company_id is None else query.where(account_news.c.company_id == company_id)

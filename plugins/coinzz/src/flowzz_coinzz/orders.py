"""One row an order, however often and in whatever order it was seen.

``store_sightings`` is the only writer of ``coinzz_orders``. It locks the orders of a page, decides about each
sighting (``ordering``), and writes the page back in one statement; everything in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import bindparam

from flowzz.clock import now
from flowzz.store.bulk import inserted, upsert
from flowzz_coinzz.models import events, orders
from flowzz_coinzz.normalise import Kind, Normalised, state_of
from flowzz_coinzz.ordering import Decision, Effect, decide
from flowzz_coinzz.sales import settle_unknown_sales

KEY = ("company_id", "order_number")
NEVER_FILLED = frozenset(
    {"order_status", "order_group", "shipping_status", "shipping_group", "deleted_at", "order_number"}
)
"""What a sighting that does not set the state must not touch; other columns it may fill where they are empty."""

_BOOKKEEPING = frozenset(
    {"id", *KEY, "fingerprint", "state_arrived_at", "suspicious", "pull_run", "first_seen_at", "updated_at"}
)
_CONTENT = tuple(column.name for column in orders.columns if column.name not in _BOOKKEEPING)

_NOTHING_KNOWN = {column.name: None for column in orders.columns if column.name != "id"}


class Source(StrEnum):
    """Where a sighting came from."""

    WEBHOOK = "webhook"
    PULL = "pull"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Sighting:
    """An order as it was seen once; ``order`` must have an order number.

    ``event_row`` is the row of the event log that already holds it (a webhook); None: log it when it says
    anything new. ``authoritative``: see ``ordering``.
    """

    order: Normalised
    source: Source
    arrived_at: datetime
    body: bytes
    event_row: int | None = None
    authoritative: bool = False

    @property
    def number(self) -> str:
        return str(self.order.values["order_number"])


@dataclass(frozen=True, slots=True)
class Stored:
    """What a sighting did. ``is_news`` is False for one that changed nothing at all."""

    sighting: Sighting
    decision: Decision
    fingerprint: str
    is_news: bool


def store_sightings(
    session: Session,
    company_id: str,
    sightings: Sequence[Sighting],
    *,
    connection_id: str | None = None,
    pull_run: str | None = None,
) -> list[Stored]:
    """Apply ``sightings`` in the order they arrived and log them; what each did, in that order.

    ``pull_run`` marks every order of the page as seen by that run. Safe to repeat and to run concurrently: the
    rows are locked in order of their number until the transaction ends.
    """
    if not sightings:
        return []
    ordered = sorted(sightings, key=lambda sighting: sighting.arrived_at)
    numbers = sorted({sighting.number for sighting in ordered})
    rows = _locked(session, company_id, numbers)
    # Of what was just made nothing was seen before.
    seen = _last_seen(session, company_id, [number for number in numbers if rows[number]["fingerprint"] is not None])
    stored = [_apply(rows[sighting.number], seen, sighting) for sighting in ordered]
    if pull_run is not None:
        for row in rows.values():
            row["pull_run"] = pull_run
    upsert(session, orders, [rows[number] for number in numbers], KEY)
    _log(session, company_id, connection_id, stored)
    settle_unknown_sales(session, company_id, list(rows.values()))
    return stored


def _locked(session: Session, company_id: str, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The orders' rows, locked. New ones are inserted bare first, so that two first sightings cannot both be first."""
    at = now()
    bare = {"company_id": company_id, "suspicious": False, "first_seen_at": at, "updated_at": at}
    made = inserted(session, orders, [{**bare, "order_number": number} for number in numbers], KEY, "order_number")
    rows = {number: {**_NOTHING_KNOWN, **bare, "order_number": number} for number in made}
    known = [number for number in numbers if number not in rows]
    if known:
        query = (
            select(orders)
            .where(orders.c.company_id == company_id, orders.c.order_number.in_(known))
            .order_by(orders.c.order_number)
            .with_for_update()
        )
        for row in session.execute(query).mappings():
            rows[row["order_number"]] = {name: row[name] for name in row if name != "id"}
    return rows


def _last_seen(session: Session, company_id: str, numbers: Sequence[str]) -> dict[tuple[str, str], datetime]:
    """When each state of each order was last seen, among the events already processed."""
    if not numbers:
        return {}
    query = (
        select(events.c.order_number, events.c.fingerprint, func.max(events.c.arrived_at))
        .where(
            events.c.company_id == company_id,
            events.c.order_number.in_(numbers),
            events.c.fingerprint.is_not(None),
            events.c.processed_at.is_not(None),
        )
        .group_by(events.c.order_number, events.c.fingerprint)
    )
    return {(number, fingerprint): at for number, fingerprint, at in session.execute(query)}


def _apply(row: dict[str, Any], seen: dict[tuple[str, str], datetime], sighting: Sighting) -> Stored:
    """Decide about one sighting and change ``row`` and ``seen`` in place."""
    before = {name: row[name] for name in _CONTENT}
    merged = _merged(before, sighting.order.values)
    said = state_of(sighting.order.values)
    raw = said.fingerprint
    # What is new has nothing but what this sighting says.
    is_new = row["fingerprint"] is None
    decision = decide(None, said) if is_new else _decision(row, seen, sighting, merged, raw)
    if decision.sets_state or decision.effect is Effect.REPEATED:
        row.update(merged)
        newest = max(sighting.arrived_at, row["state_arrived_at"] or sighting.arrived_at)
        row["state_arrived_at"] = newest
    else:
        row.update(_filled(before, sighting.order.values))
    if decision.sets_state:
        row["fingerprint"] = raw
    if decision.sets_state or decision.suspicious:
        row["suspicious"] = decision.suspicious
    is_news = decision.sets_state or any(row[name] != before[name] for name in _CONTENT)
    if is_news:
        row["updated_at"] = now()
    key = (sighting.number, raw)
    seen[key] = max(sighting.arrived_at, seen.get(key, sighting.arrived_at))
    return Stored(sighting, decision, raw, is_news or decision.suspicious)


def _decision(
    row: Mapping[str, Any],
    seen: Mapping[tuple[str, str], datetime],
    sighting: Sighting,
    merged: Mapping[str, Any],
    raw: str,
) -> Decision:
    number = sighting.number
    incoming = replace(state_of({**merged, "order_number": number}), fingerprint=raw)
    standing = state_of({**row, "order_number": number})
    current = replace(standing, fingerprint=row["fingerprint"])
    if state_of({**merged, "order_number": number}) == standing:
        # It leaves out, or has empty, what we know already: the same state, less told.
        incoming = current
    earlier = seen.get((number, raw))
    arrived = sighting.arrived_at
    return decide(
        current,
        incoming,
        last_seen=None if earlier is None else max(arrived - earlier, timedelta(0)),
        overtaken=row["state_arrived_at"] is not None and arrived < row["state_arrived_at"],
        authoritative=sighting.authoritative,
    )


def _merged(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``before`` with ``values`` over it. An absent or empty value erases nothing, save an explicit un-delete."""
    given = {n: v for n, v in values.items() if n in before and (v is not None or n == "deleted_at")}
    return {**before, **given}


def _filled(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: values[name]
        for name, known in before.items()
        if known is None and name not in NEVER_FILLED and values.get(name) is not None
    }


def _log(session: Session, company_id: str, connection_id: str | None, stored: Iterable[Stored]) -> None:
    at = now()
    known, new = [], []
    for item in stored:
        marks = {
            "fingerprint": item.fingerprint,
            "processed_at": at,
            "effect": str(item.decision.effect),
            "suspicious": item.decision.suspicious,
            "problem": "; ".join((*item.sighting.order.problems, item.decision.reason)).strip("; ") or None,
        }
        if item.sighting.event_row is not None:
            known.append({"row": item.sighting.event_row, **{f"new_{name}": value for name, value in marks.items()}})
        elif item.is_news:
            new.append({**marks, **_event(company_id, connection_id, item.sighting)})
    if known:
        changes: dict[str, Any] = {name: bindparam(f"new_{name}") for name in marks}
        session.connection().execute(update(events).where(events.c.id == bindparam("row")).values(changes), known)
    if new:
        session.execute(insert(events), new)


def _event(company_id: str, connection_id: str | None, sighting: Sighting) -> dict[str, Any]:
    return {
        "event_id": uuid4().hex,
        "company_id": company_id,
        "connection_id": connection_id,
        "source": str(sighting.source),
        "kind": str(Kind.ORDER),
        "order_number": sighting.number,
        "body": sighting.body,
        "arrived_at": sighting.arrived_at,
    }

"""Webhooks in: keep the raw body, answer, and let a job do the rest.

``receive`` runs in the web process. It writes the body to the event log before anything else, so once Coinzz has
its 2xx nothing is lost: not when Redis is away (``coinzz.recover_webhooks`` finds the event within minutes), not
when the body is no JSON (it stays in the log with the problem).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import RowMapping, Select, insert, select, update
from sqlalchemy.orm import Session

from flowzz.clock import now
from flowzz.errors import Permanent, QueueUnavailable
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import EnqueuePort, WebhookReply, WebhookRequest
from flowzz.store.bulk import upsert
from flowzz_coinzz.coerce import Unreadable, text
from flowzz_coinzz.models import affiliations, events, subscriptions
from flowzz_coinzz.normalise import (
    KEY_LIMIT,
    Kind,
    Normalised,
    block,
    kind_of,
    normalise_affiliation,
    normalise_order,
    normalise_subscription,
    parse_json,
)
from flowzz_coinzz.ordering import Effect
from flowzz_coinzz.orders import Sighting, Source, store_sightings

PROCESS_JOB = "coinzz.process_webhook"
RECOVER_JOB = "coinzz.recover_webhooks"
WEBHOOK_QUEUE = "webhooks-coinzz"
RECOVER_AFTER = timedelta(minutes=1)
"""An event that is still pending after this long has probably lost its job."""
BATCH = 200


class ProcessWebhook(Payload):
    """Process one event of the log, and any other that is pending for the same order."""

    empresa_id: str
    event_id: str


class ProcessedWebhook(Result):
    """``effect`` is what it did to its order (``created``, ``applied``, ``repeated``, ``stale``, ``late``), if any."""

    kind: str
    effect: str | None
    order_number: str | None
    suspicious: bool
    problem: str | None


class RecoverWebhooks(Payload):
    """Process every event of a company that is still pending after a minute."""

    empresa_id: str


class RecoveredWebhooks(Result):
    """``processed`` counts the events, ``problems`` those among them that could not be read in full."""

    processed: int
    problems: int


def receive(request: WebhookRequest, connection: Connection, store: StorePort, queue: EnqueuePort) -> WebhookReply:
    """Log the body, enqueue its processing, answer 200 with ``eventId`` and ``jobId``.

    ``jobId`` is null when Redis is away, or the body is unreadable and there is nothing to process.
    """
    event = _logged(request.body, connection, now())
    with store.session() as session:
        session.execute(insert(events).values(event))
    job_id = None
    if event["processed_at"] is None:
        try:
            job_id = queue.enqueue(
                PROCESS_JOB,
                ProcessWebhook(empresa_id=connection.company_id, event_id=event["event_id"]),
                EnqueueOptions(job_id=job_id_of(event["event_id"]), nonce=event["event_id"]),
            )
        except QueueUnavailable:
            job_id = None  # the event is safe in the log; the recovery schedule picks it up
    return WebhookReply(200, {"received": True, "eventId": event["event_id"], "jobId": job_id})


def job_id_of(event_id: str) -> str:
    """The id of the job that processes the event: the same for every repeat of an enqueue."""
    return f"coinzz-event-{event_id}"


def _logged(body: bytes, connection: Connection, at: datetime) -> dict[str, Any]:
    """The event's row. What can never be processed is marked so at once."""
    problem = None
    kind, number = Kind.UNKNOWN, None
    try:
        document = parse_json(body)
        kind, number = kind_of(document), _order_number(document)
        if kind is Kind.UNKNOWN:
            problem = "not an order, an affiliation or a subscription by its shape"
    except ValueError as error:
        problem = str(error)
    return {
        "event_id": uuid4().hex,
        "company_id": connection.company_id,
        "connection_id": connection.id,
        "source": Source.WEBHOOK.value,
        "kind": kind.value,
        "order_number": number if kind is Kind.ORDER else None,
        "body": body,
        "arrived_at": at,
        "processed_at": at if problem else None,
        "suspicious": False,
        "problem": problem,
    }


def _order_number(document: Any) -> str | None:
    source = block(document, "order") or (document if isinstance(document, Mapping) else {})
    try:
        found = text(source.get("order_number"))
    except Unreadable:
        return None
    return found if found and len(found) <= KEY_LIMIT else None


@job(PROCESS_JOB, queue=WEBHOOK_QUEUE, timeout=timedelta(minutes=2))
def process_webhook(ctx: JobContext, data: ProcessWebhook) -> ProcessedWebhook:
    """Store what one Coinzz webhook says.

    Events of the same order that are pending too go with it, in the order they arrived, so that several workers
    cannot swap them. Run again, it changes nothing.
    """
    with ctx.store.session() as session:
        event = _event(session, data)
        if event["processed_at"] is None:
            process(session, data.empresa_id, _pending_with(session, event))
            event = _event(session, data)
    if event["problem"]:
        ctx.log(f"event {data.event_id}: {event['problem']}")
    return ProcessedWebhook(
        kind=event["kind"],
        effect=event["effect"],
        order_number=event["order_number"],
        suspicious=event["suspicious"],
        problem=event["problem"],
    )


@job(RECOVER_JOB, queue=WEBHOOK_QUEUE, duplicates=Unique(by=("empresa_id",)))
def recover_webhooks(ctx: JobContext, data: RecoverWebhooks) -> RecoveredWebhooks:
    """Process the webhooks whose own job was never enqueued, or failed."""
    processed, problems = process_pending(ctx, data.empresa_id, older_than=now() - RECOVER_AFTER)
    return RecoveredWebhooks(processed=processed, problems=problems)


def companies_to_recover(store: StorePort) -> Iterator[RecoverWebhooks]:
    """One payload for each company that has an event pending for over a minute; usually none."""
    due = select(events.c.company_id).where(
        events.c.processed_at.is_(None), events.c.arrived_at < now() - RECOVER_AFTER
    )
    with store.session() as session:
        companies = session.scalars(due.distinct().order_by(events.c.company_id)).all()
    return (RecoverWebhooks(empresa_id=company) for company in companies)


def process_pending(ctx: JobContext, company_id: str, *, older_than: datetime) -> tuple[int, int]:
    """Process the company's events that arrived before ``older_than``; how many, and how many of them had problems.

    A batch is a transaction; between batches it looks whether the job was canceled.
    """
    processed = problems = 0
    while True:
        ctx.raise_if_canceled()
        with ctx.store.session() as session:
            rows = session.execute(_pending(company_id, older_than)).mappings().all()
            found = process(session, company_id, rows)
        processed += len(rows)
        problems += found
        if len(rows) < BATCH:
            return processed, problems


def process(session: Session, company_id: str, rows: Sequence[RowMapping]) -> int:
    """Process events that this transaction holds; how many of them had problems."""
    read = [(row, _normalised(row)) for row in rows]
    readable = [(row, found) for row, found in read if not _is_lost(row, found)]
    kinds = {kind: [pair for pair in readable if pair[0]["kind"] == kind] for kind in Kind}
    store_sightings(session, company_id, [_sighting(row, found) for row, found in kinds[Kind.ORDER]])
    _store_affiliations(session, company_id, kinds[Kind.AFFILIATION])
    _store_subscriptions(session, company_id, kinds[Kind.SUBSCRIPTION])
    for row, found in read:
        if row["kind"] != Kind.ORDER or _is_lost(row, found):
            _mark(session, row, found, None if _is_lost(row, found) else Effect.APPLIED)
    return sum(bool(found.problems) for _, found in read)


def _event(session: Session, data: ProcessWebhook) -> RowMapping:
    query = select(events).where(events.c.event_id == data.event_id, events.c.company_id == data.empresa_id)
    found = session.execute(query).mappings().first()
    if found is None:
        raise Permanent(f"company {data.empresa_id} has no Coinzz event {data.event_id}; was the company removed?")
    return found


def _pending_with(session: Session, event: RowMapping) -> Sequence[RowMapping]:
    """The event and all that are pending for the same order, locked; empty when another worker has done them."""
    same = events.c.id == event["id"]
    if event["order_number"] is not None:
        same = events.c.order_number == event["order_number"]
    query = (
        select(events)
        .where(events.c.company_id == event["company_id"], same, events.c.processed_at.is_(None))
        .order_by(events.c.id)
        .with_for_update()
    )
    return session.execute(query).mappings().all()


def _pending(company_id: str, older_than: datetime) -> Select[Any]:
    return (
        select(events)
        .where(events.c.company_id == company_id, events.c.processed_at.is_(None), events.c.arrived_at < older_than)
        .order_by(events.c.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )


def _normalised(row: RowMapping) -> Normalised:
    try:
        document = parse_json(row["body"])
    except ValueError as error:
        return Normalised({}, (str(error),))
    readers = {Kind.AFFILIATION: normalise_affiliation, Kind.SUBSCRIPTION: normalise_subscription}
    return readers.get(Kind(row["kind"]), normalise_order)(document)


def _is_lost(row: RowMapping, found: Normalised) -> bool:
    """True when there is nothing to store it under."""
    required = {
        Kind.ORDER: ("order_number",),
        Kind.AFFILIATION: ("affiliate_email", "product_name"),
        Kind.SUBSCRIPTION: ("subscription_hash",),
    }
    columns = required.get(Kind(row["kind"]))
    return columns is None or not all(found.values.get(column) for column in columns)


def _sighting(row: RowMapping, found: Normalised) -> Sighting:
    return Sighting(found, Source.WEBHOOK, row["arrived_at"], row["body"], event_row=row["id"])


Read = tuple[RowMapping, Normalised]


def _store_affiliations(session: Session, company_id: str, read: Iterable[Read]) -> None:
    """The affiliation that arrived last is the one that counts."""
    names = ("affiliate_email", "product_name", "affiliate_name", "affiliate_phone", "request_status", "requested_at")
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for row, found in read:
        values: dict[str, Any] = {name: found.values.get(name) for name in names}
        values |= {"company_id": company_id, "arrived_at": row["arrived_at"]}
        _keep_newest(newest, (values["affiliate_email"], values["product_name"]), values, "arrived_at")
    key = ("company_id", "affiliate_email", "product_name")
    upsert(session, affiliations, [newest[name] for name in sorted(newest)], key, newer_by="arrived_at")


def _store_subscriptions(session: Session, company_id: str, read: Iterable[Read]) -> None:
    """The subscription sent last is the one that counts. This kind carries a send date; without one, arrival does."""
    bookkeeping = {"id", "company_id", "arrived_at"}
    names = [column.name for column in subscriptions.columns if column.name not in bookkeeping]
    newest: dict[str, dict[str, Any]] = {}
    for row, found in read:
        values: dict[str, Any] = {name: found.values.get(name) for name in names}
        values["sent_at"] = values["sent_at"] or row["arrived_at"]
        values |= {"company_id": company_id, "arrived_at": row["arrived_at"]}
        _keep_newest(newest, values["subscription_hash"], values, "sent_at")
    rows = [newest[name] for name in sorted(newest)]
    upsert(session, subscriptions, rows, ("company_id", "subscription_hash"), newer_by="sent_at")


def _keep_newest(newest: dict[Any, dict[str, Any]], key: Any, values: dict[str, Any], by: str) -> None:
    if key not in newest or newest[key][by] <= values[by]:
        newest[key] = values


def _mark(session: Session, row: RowMapping, found: Normalised, effect: Effect | None) -> None:
    session.execute(
        update(events)
        .where(events.c.id == row["id"])
        .values(processed_at=now(), effect=effect, problem="; ".join(found.problems) or None)
    )

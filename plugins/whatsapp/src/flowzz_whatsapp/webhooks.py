"""Webhooks in: check the signature, keep the raw body, answer, and let a job do the rest.

``receive`` runs in the web process. Meta has one address for each app, so what comes to a company's address may speak
of other companies' senders: it is theirs only where their connection has the app secret that signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any
from uuid import uuid4

from sqlalchemy import RowMapping, insert, select, update

from flowzz.clock import now
from flowzz.errors import NotFound, Permanent, QueueUnavailable
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import EnqueuePort, WebhookReply, WebhookRequest
from flowzz.store.bulk import insert_missing, upsert
from flowzz_whatsapp.connection import PLUGIN, WhatsAppConnection
from flowzz_whatsapp.models import contacts, events, statuses
from flowzz_whatsapp.news import store_news
from flowzz_whatsapp.numbers import match_key
from flowzz_whatsapp.reconciling import attach
from flowzz_whatsapp.updates import Incoming, StatusUpdate, Updates, read_updates

PROCESS_JOB = "whatsapp.process_webhook"
RECOVER_JOB = "whatsapp.recover_webhooks"
WEBHOOK_QUEUE = "webhooks-whatsapp"
SIGNATURE = "x-hub-signature-256"
MAX_BYTES = 3 * 1024 * 1024 + 64 * 1024
"""Meta sends up to 3 MB."""
RECOVER_AFTER = timedelta(minutes=1)
"""An event that is still pending after this long has probably lost its job."""
BATCH = 100

Row = RowMapping


class ProcessWebhook(Payload):
    """Process one webhook that is in the log."""

    empresa_id: str
    event_id: str


class ProcessedWebhook(Result):
    """``statuses`` and ``incoming`` count what was read; ``attached`` the statuses that found their message."""

    statuses: int
    incoming: int
    attached: int
    problem: str | None


class RecoverWebhooks(Payload):
    """Process every webhook of a company that is still pending after a minute."""

    empresa_id: str


class RecoveredWebhooks(Result):
    """``processed`` counts the webhooks, ``problems`` those among them that could not be read in full."""

    processed: int
    problems: int


def challenge(request: WebhookRequest, connection: Connection) -> WebhookReply:
    """Meta's handshake: 200 with its challenge as plain text when it knows our verify token, else 403."""
    settings = connection.configured(WhatsAppConnection)
    given = request.query.get("hub.verify_token", "").encode("utf-8", "surrogatepass")
    right = compare_digest(given, settings.verify_token.get_secret_value().encode())
    if request.query.get("hub.mode") != "subscribe" or not right:
        return _refusal(403, "expected hub.mode=subscribe and the connection's verify token")
    return WebhookReply(200, {}, text=request.query.get("hub.challenge", ""))


def receive(request: WebhookRequest, connection: Connection, store: StorePort, queue: EnqueuePort) -> WebhookReply:
    """Check the signature over the raw body, log it, enqueue its processing, answer 200 with ``eventId``, ``jobId``.

    401 without a signature, 403 with a wrong one; nothing is stored then. ``jobId`` is null when Redis is away.
    """
    signature = request.headers.get(SIGNATURE)
    if not signature:
        return _refusal(401, "expected a header X-Hub-Signature-256")
    expected = connection.configured(WhatsAppConnection).signature(request.body)
    if not compare_digest(signature.strip().encode("utf-8", "surrogatepass"), expected.encode()):
        return _refusal(403, "the signature does not fit: the app secret of the connection is another one")
    event_id = uuid4().hex
    row = {"event_id": event_id, "company_id": connection.company_id, "connection_id": connection.id}
    with store.session() as session:
        session.execute(insert(events).values({**row, "body": request.body, "arrived_at": now()}))
    try:
        payload = ProcessWebhook(empresa_id=connection.company_id, event_id=event_id)
        job_id = queue.enqueue(PROCESS_JOB, payload, EnqueueOptions(job_id=job_id_of(event_id), nonce=event_id))
    except QueueUnavailable:
        job_id = None  # the event is safe in the log; the recovery schedule picks it up
    return WebhookReply(200, {"received": True, "eventId": event_id, "jobId": job_id})


def _refusal(status: int, detail: str) -> WebhookReply:
    titles = {401: "Unauthorized", 403: "Forbidden"}
    return WebhookReply(status, {"type": "about:blank", "title": titles[status], "status": status, "detail": detail})


def job_id_of(event_id: str) -> str:
    """The id of the job that processes the event: the same for every repeat of an enqueue."""
    return f"whatsapp-event-{event_id}"


@job(PROCESS_JOB, queue=WEBHOOK_QUEUE, timeout=timedelta(minutes=2), max_stalled=3)
def process_webhook(ctx: JobContext, data: ProcessWebhook) -> ProcessedWebhook:
    """Store what one webhook says of messages and of people who wrote.

    Run again, it changes nothing.
    """
    query = select(events).where(events.c.event_id == data.event_id, events.c.company_id == data.empresa_id)
    with ctx.store.session() as session:
        event = session.execute(query).mappings().first()
    if event is None:
        raise Permanent(
            f"company {data.empresa_id} has no WhatsApp event {data.event_id}: the company was removed, or the event "
            "was processed and its retention has passed"
        )
    done = process(ctx.store, event)
    if done.problem:
        ctx.log(f"event {data.event_id}: {done.problem}")
    return done


@job(RECOVER_JOB, queue=WEBHOOK_QUEUE, duplicates=Unique(by=("empresa_id",)))
def recover_webhooks(ctx: JobContext, data: RecoverWebhooks) -> RecoveredWebhooks:
    """Process the webhooks whose own job was never enqueued, or failed."""
    processed = problems = 0
    before = now() - RECOVER_AFTER
    while True:
        ctx.raise_if_canceled()
        pending = _pending(ctx.store, data.empresa_id, before)
        for event in pending:
            problems += process(ctx.store, event).problem is not None
        processed += len(pending)
        if len(pending) < BATCH:
            return RecoveredWebhooks(processed=processed, problems=problems)


def companies_to_recover(store: StorePort) -> Iterator[RecoverWebhooks]:
    """One payload for each company that has an event pending for over a minute; usually none."""
    due = select(events.c.company_id).where(
        events.c.processed_at.is_(None), events.c.arrived_at < now() - RECOVER_AFTER
    )
    with store.session() as session:
        companies = session.scalars(due.distinct().order_by(events.c.company_id)).all()
    return (RecoverWebhooks(empresa_id=company) for company in companies)


def _pending(store: StorePort, company_id: str, before: datetime) -> Sequence[Row]:
    query = (
        select(events)
        .where(events.c.company_id == company_id, events.c.processed_at.is_(None), events.c.arrived_at < before)
        .order_by(events.c.id)
        .limit(BATCH)
    )
    with store.session() as session:
        return session.execute(query).mappings().all()


def process(store: StorePort, event: Row) -> ProcessedWebhook:
    """Store an event's statuses, then attach them, then mark it: each step may be repeated.

    The statuses are committed before they look for their messages, so that a send whose answer comes at this very
    moment sees them, or is seen by them.
    """
    try:
        found = read_updates(event["body"])
    except ValueError as error:
        found = Updates(problems=[str(error)])
    owners = _owners(store, event, found, "phone_number_id", found.phone_number_ids)
    told = _owners(store, event, found, "waba_id", found.waba_ids)
    with store.session() as session:
        for company_id in sorted(owners):
            said, incoming = _of_senders(found, owners[company_id])
            insert_missing(session, statuses, _status_rows(company_id, said), _STATUS_KEY)
            _store_contacts(session, company_id, incoming)
        for company_id in sorted(told):
            news = [one for one in found.news if one.waba_id in told[company_id]]
            store_news(session, company_id, news, event["arrived_at"])
    attached = 0
    with store.session() as session:
        for company_id in sorted(owners):
            said, _ = _of_senders(found, owners[company_id])
            attached += attach(session, company_id, [one.message_id for one in said])
        counts = {"statuses": len(found.statuses), "incoming": len(found.incoming), "problem": found.problem}
        session.execute(update(events).where(events.c.id == event["id"]).values(processed_at=now(), **counts))
    return ProcessedWebhook(attached=attached, **counts)


def store_statuses(store: StorePort, company_id: str, said: Sequence[StatusUpdate]) -> int:
    """Store statuses that did not come by webhook, and attach them; how many were news."""
    if not said:
        return 0
    with store.session() as session:
        news = insert_missing(session, statuses, _status_rows(company_id, said), _STATUS_KEY)
    with store.session() as session:
        attach(session, company_id, [one.message_id for one in said])
    return news


def _owners(store: StorePort, event: Row, found: Updates, field: str, wanted: set[str]) -> dict[str, set[str]]:
    """Company to those of the ``wanted`` senders or accounts that are its own, by a ``field`` of its connection.

    What nobody has is named as a problem.
    """
    if not wanted:
        return {}
    try:
        receiver = store.connection_by_id(event["connection_id"])
    except NotFound:
        removed = "the connection it came to was removed"
        found.problems += [] if removed in found.problems else [removed]
        return {}
    secret = receiver.configured(WhatsAppConnection).app_secret.get_secret_value()
    owners: dict[str, set[str]] = {}
    known = (
        # An account may be several connections': each of its numbers is one.
        [receiver]
        if field == "phone_number_id" and wanted == {receiver.config[field]}
        else store.connections(PLUGIN, active_only=False)
    )
    for connection in known:
        value = connection.config[field]
        if value in wanted and compare_digest(connection.secrets["app_secret"].get_secret_value(), secret):
            owners.setdefault(connection.company_id, set()).add(value)
    for value in sorted(wanted - {value for values in owners.values() for value in values}):
        found.problems.append(f"no connection of this app has the {field.replace('_', ' ')} {value}")
    return owners


def _of_senders(found: Updates, senders: set[str]) -> tuple[list[StatusUpdate], list[Incoming]]:
    return (
        [one for one in found.statuses if one.phone_number_id in senders],
        [one for one in found.incoming if one.phone_number_id in senders],
    )


_STATUS_KEY = ("company_id", "message_id", "status", "happened_at", "participant")


def _status_rows(company_id: str, said: Iterable[StatusUpdate]) -> list[dict[str, Any]]:
    """In the order of the key, so that two events that say the same never wait for each other."""
    at = now()
    rows = [{**asdict(one), "company_id": company_id, "arrived_at": at} for one in said]
    return sorted(rows, key=lambda row: [row[name] for name in _STATUS_KEY])


def _store_contacts(session: Any, company_id: str, incoming: Iterable[Incoming]) -> None:
    """A person is known by the phone and by the user id, each where it came; the newest message counts."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for one in incoming:
        for key in filter(None, (one.wa_id and match_key(one.wa_id), one.user_id)):
            row = {
                "company_id": company_id,
                "phone_number_id": one.phone_number_id,
                "contact_key": key,
                "wa_id": one.wa_id,
                "user_id": one.user_id,
                "name": one.name,
                "last_incoming_at": one.happened_at,
            }
            before = newest.get((one.phone_number_id, key))
            if before is None or before["last_incoming_at"] <= one.happened_at:
                newest[one.phone_number_id, key] = row
    rows = [newest[key] for key in sorted(newest)]
    upsert(session, contacts, rows, ("company_id", "phone_number_id", "contact_key"), newer_by="last_incoming_at")

"""Asking Meta for statuses whose webhook did not come. ASSUMPTION: see ``HISTORY_ASSUMPTION``; off by default.

It needs a wamid, so it helps where webhooks were lost, and never where a send had no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from flowzz.clock import now
from flowzz.errors import NotFound, Permanent, Throttled
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.payload import Payload, Result
from flowzz_whatsapp.client import CloudApi
from flowzz_whatsapp.connection import HISTORY_ASSUMPTION, PLUGIN, WhatsAppConnection
from flowzz_whatsapp.errors import Overrun
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.states import State
from flowzz_whatsapp.updates import StatusUpdate, moment_of
from flowzz_whatsapp.webhooks import WEBHOOK_QUEUE, store_statuses

HISTORY_JOB = "whatsapp.look_up_statuses"
SETTLED_AFTER = timedelta(hours=1)
"""How long a status may take before it is asked for."""
LOST_AFTER = timedelta(days=7)
"""Meta repeats a webhook that was not taken for so long."""
MOST = 200
EVENTS = "id,message_id,events{delivery_status,timestamp}"
WAIT = timedelta(minutes=5)


class LookUpStatuses(Payload):
    """Ask for the statuses of a company's messages that stand still for an hour."""

    empresa_id: str


class LookedUp(Result):
    """``asked`` counts messages, ``found`` the statuses that were news."""

    asked: int
    found: int


@job(HISTORY_JOB, queue=WEBHOOK_QUEUE, duplicates=Unique(by=("empresa_id",)))
def look_up_statuses(ctx: JobContext, data: LookUpStatuses) -> LookedUp:
    """Ask Meta's message history for statuses whose webhook did not come.

    Does nothing where the connection does not switch it on.
    """
    try:
        connection = ctx.store.connection(data.empresa_id, PLUGIN)
    except NotFound:
        raise Permanent(f"company {data.empresa_id} has no WhatsApp connection") from None
    settings = connection.configured(WhatsAppConnection)
    if not settings.use_message_history or connection.state is not ConnectionState.ACTIVE:
        ctx.log(f"not asked: use_message_history is off, or the connection is {connection.state}")
        return LookedUp(asked=0, found=0)
    ctx.log(HISTORY_ASSUMPTION)
    api, found, asked = CloudApi(settings, connection.id), 0, _standing_still(ctx.store, data.empresa_id, settings)
    for message_id in asked:
        ctx.raise_if_canceled()
        found += store_statuses(ctx.store, data.empresa_id, _ask(api, settings.phone_number_id, message_id))
    return LookedUp(asked=len(asked), found=found)


def companies_to_look_up(store: StorePort) -> Iterator[LookUpStatuses]:
    """One payload for each company that switched it on; usually none."""
    wanted = dict.fromkeys(one.company_id for one in store.connections(PLUGIN) if one.config.get("use_message_history"))
    return (LookUpStatuses(empresa_id=company) for company in wanted)


def _standing_still(store: StorePort, company_id: str, settings: WhatsAppConnection) -> Sequence[str]:
    """Wamids of messages that may have got further than we know, the oldest first."""
    at = now()
    query = (
        select(messages.c.message_id)
        .where(
            messages.c.company_id == company_id,
            messages.c.phone_number_id == settings.phone_number_id,
            messages.c.state.in_((State.ACCEPTED, State.HELD, State.SENT)),
            messages.c.message_id.is_not(None),
            messages.c.updated_at < at - SETTLED_AFTER,
            messages.c.created_at > at - LOST_AFTER,
        )
        .order_by(messages.c.updated_at)
        .limit(MOST)
    )
    with store.session() as session:
        return session.scalars(query).all()


def _ask(api: CloudApi, sender: str, message_id: str) -> list[StatusUpdate]:
    try:
        answer = api.get(f"{sender}/message_history", {"message_id": message_id, "fields": EVENTS, "limit": 100})
    except Overrun as error:
        raise Throttled(error.asked or WAIT, str(error)) from error
    items = [item for item in _listed(answer) if item.get("message_id") == message_id]
    return [
        StatusUpdate(sender, message_id, str(event["delivery_status"]).lower(), happened_at)
        for item in items
        for event in _listed(item.get("events"))
        if "delivery_status" in event and (happened_at := moment_of(event.get("timestamp"))) is not None
    ]


def _listed(source: Any) -> list[Mapping[str, Any]]:
    listed = source.get("data") if isinstance(source, Mapping) else None
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []

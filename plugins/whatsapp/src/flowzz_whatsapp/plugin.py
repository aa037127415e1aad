"""What this distribution gives to Flowzz."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from flowzz.jobs.definition import JobDefinition
from flowzz.plugins.contributions import (
    AdminPages,
    ConnectionType,
    Migrations,
    Notifier,
    Plugin,
    Sandbox,
    Schedule,
    Webhook,
)
from flowzz.plugins.hookspecs import hookimpl
from flowzz_whatsapp.checking import check
from flowzz_whatsapp.commands import whatsapp_commands
from flowzz_whatsapp.connection import PLUGIN, WhatsAppConnection
from flowzz_whatsapp.ended import CLOSE_JOB, close_ended, companies_to_close
from flowzz_whatsapp.history import HISTORY_JOB, companies_to_look_up, look_up_statuses
from flowzz_whatsapp.models import MIGRATIONS
from flowzz_whatsapp.notices import notify
from flowzz_whatsapp.retention import DELETE_JOB, delete_old, one_deletion
from flowzz_whatsapp.sandbox import demo, routes
from flowzz_whatsapp.send import send_message
from flowzz_whatsapp.webhooks import (
    MAX_BYTES,
    RECOVER_JOB,
    challenge,
    companies_to_recover,
    process_webhook,
    receive,
    recover_webhooks,
)


@hookimpl
def flowzz_jobs() -> Sequence[JobDefinition[Any, Any]]:
    return [send_message, process_webhook, recover_webhooks, look_up_statuses, close_ended, delete_old]


@hookimpl
def flowzz_schedules() -> Sequence[Schedule]:
    return [
        Schedule(
            name=RECOVER_JOB,
            job=RECOVER_JOB,
            cron="* * * * *",
            payloads=companies_to_recover,
            description="Picks up webhooks that were stored while the queue was away.",
        ),
        Schedule(
            name=HISTORY_JOB,
            job=HISTORY_JOB,
            cron="17 * * * *",
            payloads=companies_to_look_up,
            description="Asks for statuses whose webhook did not come, for companies that switched that on.",
        ),
        Schedule(
            name=CLOSE_JOB,
            job=CLOSE_JOB,
            cron="4-59/10 * * * *",
            payloads=companies_to_close,
            description="Says of messages whose job was canceled, or failed, what became of them.",
        ),
        Schedule(
            name=DELETE_JOB,
            job=DELETE_JOB,
            cron="50 * * * *",
            payloads=one_deletion,
            description="Deletes contents of messages, webhooks and contacts whose time is over.",
        ),
    ]


@hookimpl
def flowzz_webhooks() -> Sequence[Webhook]:
    return [Webhook(plugin=PLUGIN, receive=receive, challenge=challenge, max_bytes=MAX_BYTES)]


@hookimpl
def flowzz_connection_types() -> Sequence[ConnectionType]:
    return [ConnectionType(plugin=PLUGIN, title="WhatsApp", model=WhatsAppConnection, check=check)]


@hookimpl
def flowzz_migrations() -> Sequence[Migrations]:
    return [MIGRATIONS]


@hookimpl
def flowzz_sandboxes() -> Sequence[Sandbox]:
    return [
        Sandbox(plugin=PLUGIN, blueprint=routes.sandbox_blueprint, connection=demo.connection_fields, demo=demo.run)
    ]


@hookimpl
def flowzz_commands() -> Sequence[click.Command]:
    return [whatsapp_commands]


@hookimpl
def flowzz_notifiers() -> Sequence[Notifier]:
    return [Notifier(name=f"{PLUGIN}.template", plugin=PLUGIN, notify=notify)]


@hookimpl
def flowzz_admin_pages() -> Sequence[AdminPages]:
    folder = Path(__file__).parent / "translations"
    return [AdminPages(plugin=PLUGIN, title="Messages", blueprint=_pages, translations=folder)]


def _pages() -> Any:
    # Here, for flowzz_web is the web's; workers have no use for it.
    from flowzz_whatsapp.pages import messages_blueprint

    return messages_blueprint()


plugin = Plugin(name=PLUGIN, title="WhatsApp", api=">=1.2,<2", hooks=sys.modules[__name__])

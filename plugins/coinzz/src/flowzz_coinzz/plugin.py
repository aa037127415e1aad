"""What this distribution gives to Flowzz."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from flowzz.jobs.definition import JobDefinition
from flowzz.jobs.sources import DataSource
from flowzz.plugins.contributions import ConnectionType, Migrations, Plugin, Sandbox, Schedule, Webhook
from flowzz.plugins.hookspecs import hookimpl
from flowzz_coinzz.connection import CoinzzConnection
from flowzz_coinzz.csv_import import coinzz_commands
from flowzz_coinzz.models import MIGRATIONS
from flowzz_coinzz.sales_source import SALES
from flowzz_coinzz.sandbox import demo, routes
from flowzz_coinzz.selling import create_sale
from flowzz_coinzz.sync import PLUGIN, SYNC_JOB, companies_to_sync, sync_sales
from flowzz_coinzz.upstream import check
from flowzz_coinzz.webhooks import RECOVER_JOB, companies_to_recover, process_webhook, receive, recover_webhooks


@hookimpl
def flowzz_jobs() -> Sequence[JobDefinition[Any, Any]]:
    return [sync_sales, process_webhook, recover_webhooks, create_sale]


@hookimpl
def flowzz_schedules() -> Sequence[Schedule]:
    return [
        Schedule(
            name=SYNC_JOB,
            job=SYNC_JOB,
            cron="0 * * * *",
            payloads=companies_to_sync,
            description="Brings each connected company's sales up to date, every hour.",
        ),
        Schedule(
            name=RECOVER_JOB,
            job=RECOVER_JOB,
            cron="* * * * *",
            payloads=companies_to_recover,
            description="Picks up webhooks that were stored while the queue was away.",
        ),
    ]


@hookimpl
def flowzz_webhooks() -> Sequence[Webhook]:
    return [Webhook(plugin=PLUGIN, receive=receive)]


@hookimpl
def flowzz_connection_types() -> Sequence[ConnectionType]:
    return [ConnectionType(plugin=PLUGIN, title="Coinzz", model=CoinzzConnection, check=check)]


@hookimpl
def flowzz_migrations() -> Sequence[Migrations]:
    return [MIGRATIONS]


@hookimpl
def flowzz_sandboxes() -> Sequence[Sandbox]:
    return [
        Sandbox(plugin=PLUGIN, blueprint=routes.sandbox_blueprint, connection=demo.connection_fields, demo=demo.run)
    ]


@hookimpl
def flowzz_data_sources() -> Sequence[DataSource]:
    return [SALES]


@hookimpl
def flowzz_commands() -> Sequence[click.Command]:
    return [coinzz_commands]


plugin = Plugin(name=PLUGIN, title="Coinzz", api=">=1.2,<2", hooks=sys.modules[__name__])

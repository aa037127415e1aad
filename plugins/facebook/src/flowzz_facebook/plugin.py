"""What this distribution gives to Flowzz."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from flowzz.jobs.definition import JobDefinition
from flowzz.plugins.contributions import ConnectionType, DataSource, Migrations, Plugin, Sandbox, Schedule
from flowzz.plugins.hookspecs import hookimpl
from flowzz_facebook.connection import FacebookConnection
from flowzz_facebook.graph import check
from flowzz_facebook.models import MIGRATIONS
from flowzz_facebook.performance import AD_PERFORMANCE
from flowzz_facebook.sandbox import demo, routes
from flowzz_facebook.sync import PLUGIN, SYNC_JOB, accounts_to_sync, sync_campaigns


@hookimpl
def flowzz_jobs() -> Sequence[JobDefinition[Any, Any]]:
    return [sync_campaigns]


@hookimpl
def flowzz_schedules() -> Sequence[Schedule]:
    return [
        Schedule(
            name=SYNC_JOB,
            job=SYNC_JOB,
            cron="0 */6 * * *",
            payloads=accounts_to_sync,
            description="Brings each connected ad account's campaigns and insights up to date, every six hours.",
        )
    ]


@hookimpl
def flowzz_connection_types() -> Sequence[ConnectionType]:
    return [ConnectionType(plugin=PLUGIN, title="Facebook Ads", model=FacebookConnection, check=check)]


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
    return [AD_PERFORMANCE]


plugin = Plugin(name=PLUGIN, title="Facebook Ads", api=">=1.2,<2", hooks=sys.modules[__name__])

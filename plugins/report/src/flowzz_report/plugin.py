"""What this distribution gives to Flowzz."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from flowzz.jobs.definition import JobDefinition
from flowzz.plugins.contributions import AdminPages, Migrations, Plugin, PublicPages, Sandbox, Schedule
from flowzz.plugins.hookspecs import hookimpl
from flowzz_report import demo
from flowzz_report.commands import report_commands
from flowzz_report.generate import PLUGIN, generate_report
from flowzz_report.models import MIGRATIONS
from flowzz_report.sweep import SWEEP_JOB, one_sweep, sweep_reports


@hookimpl
def flowzz_jobs() -> Sequence[JobDefinition[Any, Any]]:
    return [generate_report, sweep_reports]


@hookimpl
def flowzz_schedules() -> Sequence[Schedule]:
    return [
        Schedule(
            name=SWEEP_JOB,
            job=SWEEP_JOB,
            cron="20 * * * *",
            payloads=one_sweep,
            description="Deletes files whose time is over, and what killed runs left behind.",
        )
    ]


@hookimpl
def flowzz_migrations() -> Sequence[Migrations]:
    return [MIGRATIONS]


@hookimpl
def flowzz_admin_pages() -> Sequence[AdminPages]:
    translations = Path(__file__).parent / "translations"
    return [AdminPages(plugin=PLUGIN, title="Reports", blueprint=_admin_pages, translations=translations)]


@hookimpl
def flowzz_public_pages() -> Sequence[PublicPages]:
    return [PublicPages(plugin=PLUGIN, blueprint=_public_pages)]


@hookimpl
def flowzz_commands() -> Sequence[click.Command]:
    return [report_commands]


@hookimpl
def flowzz_sandboxes() -> Sequence[Sandbox]:
    return [Sandbox(plugin=PLUGIN, demo=demo.run, needs=("sales",))]


def _admin_pages() -> Any:
    from flowzz_report.pages import admin_pages

    return admin_pages()


def _public_pages() -> Any:
    from flowzz_report.pages import public_pages

    return public_pages()


plugin = Plugin(name=PLUGIN, title="Reports", api=">=1.2,<2", hooks=sys.modules[__name__])

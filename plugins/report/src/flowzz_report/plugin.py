"""What this distribution gives to Flowzz."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from flowzz.jobs.definition import JobDefinition
from flowzz.plugins.contributions import Migrations, Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz_report.generate import PLUGIN, generate_report
from flowzz_report.models import MIGRATIONS


@hookimpl
def flowzz_jobs() -> Sequence[JobDefinition[Any, Any]]:
    return [generate_report]


@hookimpl
def flowzz_migrations() -> Sequence[Migrations]:
    return [MIGRATIONS]


plugin = Plugin(name=PLUGIN, title="Reports", api=">=1.2,<2", hooks=sys.modules[__name__])

"""Small installed distributions: a module and its metadata in a folder on the path, as pip would leave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

GROUP = "flowzz.test_plugins"
"""Not the real group: what else is installed on this machine is not under test."""

HEAD = """
from datetime import timedelta
from pathlib import Path

import click
from pydantic import BaseModel

from flowzz.jobs.definition import JobDefinition, job
from flowzz.jobs.payload import Payload
from flowzz.plugins.contributions import (
    AdminPages, ConnectionType, DataColumn, DataSource, Migrations, Notifier, Plugin, PublicPages, QueueLimits, Sandbox,
    Schedule,
    Webhook,
)
from flowzz.plugins.hookspecs import hookimpl


class Data(Payload):
    empresa_id: str


def simple(name, queue="demo"):
    @job(name, queue=queue)
    def run(ctx, data: Data):
        "Do it."
    return run


def every_hour(name, job_name, **more):
    return Schedule(**{"name": name, "job": job_name, "cron": "0 * * * *", "payloads": lambda store: [], **more})


CITY = DataColumn(name="city", title="City", kind="text")


def source(name, plugin, **more):
    given = {"topic": "weather", "title": "Weather", "columns": (CITY,), "select": lambda *_: None}
    return DataSource(name=name, plugin=plugin, **{**given, **more})


def made(name, api, hooks):
    return Plugin(name=name, title=name.title(), api=api, hooks=hooks)


"""


def install(
    site: Path,
    plugin: str,
    hooks: str = "",
    *,
    distribution: str | None = None,
    module: str | None = None,
    entry: str | None = None,
    version: str = "1.0",
    api: str = ">=1,<2",
    requires: Sequence[str] = (),
    code: str | None = None,
    entry_points: str | None = None,
    group: str = GROUP,
) -> str:
    """Install a plugin whose class of hooks has the body ``hooks``; the distribution's name.

    ``code`` replaces the whole module, ``entry_points`` the whole of ``entry_points.txt``.
    """
    name = distribution or f"flowzz-{plugin}"
    module = module or name.replace("-", "_") + "_module"
    body = dedent(hooks).strip().replace("\n", "\n    ") or "pass"
    built = f"{HEAD}class Hooks:\n    {body}\n\n\nplugin = made({plugin!r}, {api!r}, Hooks())\n"
    (site / f"{module}.py").write_text(built if code is None else dedent(code))
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    required = "".join(f"Requires-Dist: {one}\n" for one in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
    default = f"[{group}]\n{entry or plugin} = {module}:plugin\n"
    (info / "entry_points.txt").write_text(default if entry_points is None else entry_points)
    return name

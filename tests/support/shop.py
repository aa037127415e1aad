"""A plugin for tests of the command line and of whole installations, and how to install it without pip.

Its upstream is a shop: ``shop.pack`` packs what it is told, fails when it is told, waits for a file when it is told.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flask import Blueprint
from pydantic import BaseModel, Field, SecretStr

from flowzz.errors import NeedsCredentials, Permanent
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import (
    ConnectionType,
    DemoSession,
    EnqueuePort,
    Plugin,
    Sandbox,
    Schedule,
    Webhook,
    WebhookReply,
    WebhookRequest,
)
from flowzz.plugins.hookspecs import hookimpl

PLUGINS = Path(__file__).parents[2] / "plugins"
OF_THIS_HOUSE = ",".join(sorted(file.parent.name for file in PLUGINS.glob("*/pyproject.toml")))
"""For FLOWZZ_DISABLED_PLUGINS: the plugins that are developed here, and installed wherever tests run."""


class Order(Payload):
    empresa_id: str | None = None
    items: int = Field(default=1, ge=0)
    started: str = ""
    wait_for: str = ""
    broken: bool = False


class Packed(Result):
    packed: int
    left_over: int = 0


class ShopConnection(BaseModel):
    base_url: str = Field(title="Address", description="Where the shop answers.")
    api_key: SecretStr = Field(title="API key")
    page_size: int = Field(default=50, ge=1, title="Orders a page")


@job("shop.pack", queue="shop")
def pack(ctx: JobContext, data: Order) -> Packed:
    """Pack an order."""
    if data.started:
        Path(data.started).touch()
    while data.wait_for and not Path(data.wait_for).exists():
        threading.Event().wait(0.02)
    if data.broken:
        raise Permanent("the box is broken")
    ctx.log(f"packed {data.items}")
    return Packed(packed=data.items)


def _check(connection: Connection) -> None:
    if connection.configured(ShopConnection).api_key.get_secret_value() == "wrong":
        raise NeedsCredentials(connection.id, "the shop refused the API key")


def _receive(request: WebhookRequest, connection: Connection, store: StorePort, queues: EnqueuePort) -> WebhookReply:
    items = json.loads(request.body)["items"]
    made = queues.enqueue("shop.pack", {"empresaId": connection.company_id, "items": items})
    return WebhookReply(202, {"jobId": made})


def _blueprint() -> Blueprint:
    blueprint = Blueprint("shop_sandbox", __name__)
    blueprint.add_url_rule("/orders", "orders", lambda: {"orders": []})
    return blueprint


def _fields(base_url: str) -> Mapping[str, Any]:
    return {"base_url": base_url, "api_key": "sandbox-key"}


def _demo(session: DemoSession) -> None:
    with urllib.request.urlopen(f"{session.sandbox_url}/orders") as answer:
        assert json.load(answer) == {"orders": []}
    if "SHOP_DEMO_BREAKS" in os.environ:
        session.enqueue("shop.pack", {"broken": True})
        return
    session.enqueue("shop.pack", {"empresaId": session.company_id, "items": 3})
    request = urllib.request.Request(session.webhook_url, b'{"items": 4}', {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        session.expect(json.load(answer)["jobId"])


@click.command("shop")
def _command() -> None:
    """Greet from the shop."""
    click.echo("the shop is open")


class _Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[Any]:
        return [pack]

    @hookimpl
    def flowzz_schedules(self) -> list[Any]:
        return [Schedule(name="shop.pack", job="shop.pack", cron="0 3 1 1 *", payloads=lambda store: [Order(items=2)])]

    @hookimpl
    def flowzz_webhooks(self) -> list[Any]:
        return [Webhook(plugin="shop", receive=_receive)]

    @hookimpl
    def flowzz_connection_types(self) -> list[Any]:
        return [ConnectionType(plugin="shop", title="Shop", model=ShopConnection, check=_check)]

    @hookimpl
    def flowzz_sandboxes(self) -> list[Any]:
        return [Sandbox(plugin="shop", blueprint=_blueprint, connection=_fields, demo=_demo)]

    @hookimpl
    def flowzz_commands(self) -> list[Any]:
        return [_command]


plugin = Plugin(name="shop", title="Shop", api=">=1,<2", hooks=_Hooks())


def install(folder: Path, *, entry: str = "support.shop:plugin", name: str = "shop") -> Path:
    """Make ``folder`` a place that, on the import path, looks like an installed plugin distribution."""
    info = folder / f"flowzz_{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flowzz-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flowzz.plugins]\n{name} = {entry}\n")
    return folder

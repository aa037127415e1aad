"""A plugin that takes connections with a field of each kind; its upstream refuses the token ``refused``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from flowzz.jobs.connection import Connection
from flowzz.plugins.contributions import ConnectionType, Plugin, Webhook, WebhookReply
from flowzz.plugins.hookspecs import hookimpl

TOKEN = "tok-4711-planted"
SIGNING = "sig-4711-planted"


class ParcelsConnection(BaseModel):
    """What a company gives."""

    token: SecretStr = Field(title="Token", description="From the carrier's back office.")
    signing_key: SecretStr | None = Field(default=None, title="Signing key", description="Signs each call.")
    depots: tuple[str, ...] = Field(min_length=1, title="Depots", description="Codes, separated by commas.")
    region: Literal["south", "north"] = Field(default="south", title="Region")
    page_size: int = Field(default=50, ge=1, le=500, title="Rows a page")
    is_test: bool = Field(default=False, title="Test account")
    tags: dict[str, str] = Field(default_factory=dict, title="Tags", description="A JSON object.")


_meanwhile: list[Callable[[], None]] = []


@contextmanager
def during_a_check(happens: Callable[[], None]) -> Iterator[None]:
    """In the block each check takes as long as ``happens`` does."""
    _meanwhile.append(happens)
    try:
        yield
    finally:
        _meanwhile.remove(happens)


def check(connection: Connection) -> None:
    """Raises as the upstream would."""
    for happens in _meanwhile:
        happens()
    settings = connection.configured(ParcelsConnection)
    if settings.token.get_secret_value() == "refused":
        raise ValueError("the carrier refused the token")


class Hooks:
    @hookimpl
    def flowzz_connection_types(self) -> list[ConnectionType]:
        return [ConnectionType(plugin="parcels", title="Parcels", model=ParcelsConnection, check=check)]

    @hookimpl
    def flowzz_webhooks(self) -> list[Webhook]:
        return [Webhook(plugin="parcels", receive=lambda *_: WebhookReply(200, {}))]


PLUGIN = Plugin(name="parcels", title="Parcels", api=">=1,<2", hooks=Hooks())

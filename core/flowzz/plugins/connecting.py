"""What a connection of a plugin consists of, checked by the plugin's own model, and tested before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from flowzz import logs
from flowzz.clock import now
from flowzz.errors import ConnectionTestFailed, InvalidConnection, InvalidRequest, NotFound, nearest
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.payload import problems_of
from flowzz.plugins.contributions import ConnectionType
from flowzz.plugins.host import PluginHost

NOT_STORED = "not-stored-yet"


def connection_type(plugins: PluginHost, plugin: str) -> ConnectionType:
    """Raises NotFound, naming the nearest, when that plugin has no connections or is not loaded."""
    found = plugins.connection_types.get(plugin)
    if found is None:
        close = nearest(plugin, plugins.connection_types)
        hint = f"; did you mean {close!r}?" if close else ""
        raise NotFound(f"no loaded plugin named {plugin!r} takes connections{hint} (see `flowzz plugins list`)")
    return found


def split(
    plugin: str, model: type[BaseModel], values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, SecretStr]]:
    """Checked by the model: the plain fields as JSON, and those typed as secrets.

    Raises InvalidConnection naming every field that does not fit.
    """
    try:
        checked = model.model_validate(dict(values), by_name=True, by_alias=True)
    except ValidationError as error:
        raise InvalidConnection(plugin, problems_of(error)) from None
    secrets = {name: value for name in model.model_fields if isinstance(value := getattr(checked, name), SecretStr)}
    return checked.model_dump(mode="json", by_alias=False, exclude=set(secret_names(model))), secrets


def is_secret(info: FieldInfo) -> bool:
    return info.annotation is SecretStr or SecretStr in get_args(info.annotation)


def secret_names(model: type[BaseModel]) -> list[str]:
    """The fields that are stored encrypted, in the model's order."""
    return [name for name, info in model.model_fields.items() if is_secret(info)]


def try_out(kind: ConnectionType, company_id: str, config: Mapping[str, Any], secrets: Mapping[str, SecretStr]) -> None:
    """Ask the upstream with these fields, before they are stored; nothing happens when the plugin offers no test.

    Raises ConnectionTestFailed with what the plugin's check says.
    """
    if kind.check is None:
        return
    at = now()
    candidate = Connection(
        id=NOT_STORED,
        company_id=company_id,
        plugin=kind.plugin,
        label=kind.title,
        state=ConnectionState.ACTIVE,
        state_reason=None,
        config=config,
        secrets=secrets,
        created_at=at,
        updated_at=at,
    )
    if problem := problem_of(kind, candidate):
        raise ConnectionTestFailed(problem)


def problem_of(kind: ConnectionType, connection: Connection) -> str | None:
    """What the plugin's check says is wrong; None when it works. Raises InvalidRequest when the plugin has no check."""
    if kind.check is None:
        raise InvalidRequest(f"plugin {kind.plugin} offers no test of its connections")
    try:
        kind.check(connection)
    except Exception as error:  # noqa: BLE001 - whatever a plugin's check raises says that it does not work
        return logs.without_secrets(f"{error}" or type(error).__name__)
    return None

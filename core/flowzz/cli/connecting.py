"""Asking for a connection's fields, as the plugin's connection model declares them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import click
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from flowzz.errors import InvalidRequest, NotFound, nearest
from flowzz.jobs.payload import problems_of
from flowzz.plugins.contributions import ConnectionType
from flowzz.plugins.host import PluginHost


def connection_type(plugins: PluginHost, plugin: str) -> ConnectionType:
    """Raises NotFound, naming the nearest, when that plugin has no connections or is not loaded."""
    found = plugins.connection_types.get(plugin)
    if found is None:
        close = nearest(plugin, plugins.connection_types)
        hint = f"; did you mean {close!r}?" if close else ""
        raise NotFound(f"no loaded plugin named {plugin!r} takes connections{hint} (see `flowzz plugins list`)")
    return found


def given(model: type[BaseModel], settings: Iterable[str], from_environment: Iterable[str]) -> dict[str, Any]:
    """Values of ``--set name=value`` and ``--secret-from-env name=VARIABLE``, by field name."""
    values: dict[str, Any] = {}
    for item in settings:
        name, text = _pair(model, item, "--set", "name=value")
        if is_secret(model.model_fields[name]):
            raise click.BadParameter(
                f"{name} is a secret, which other users could read from the command line; "
                f"use --secret-from-env {name}=VARIABLE, or leave it out to be asked",
                param_hint="--set",
            )
        values[name] = _parsed(text)
    for item in from_environment:
        name, variable = _pair(model, item, "--secret-from-env", "name=VARIABLE")
        if variable not in os.environ:
            raise click.BadParameter(f"the environment has no variable {variable}", param_hint="--secret-from-env")
        values[name] = os.environ[variable]
    return values


def asked(model: type[BaseModel], known: Mapping[str, Any], *, optional: bool) -> dict[str, Any]:
    """``known`` and the answers for the other fields: the required ones, and with ``optional`` all of them."""
    values = dict(known)
    for name, info in model.model_fields.items():
        if name in values or not (info.is_required() or optional):
            continue
        answer = _ask(name, info)
        if answer != "":
            values[name] = answer
    return values


def split(
    plugin: str, model: type[BaseModel], values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, SecretStr]]:
    """Checked by the model: the plain fields as JSON, and those typed as secrets.

    Raises InvalidRequest naming every field that does not fit.
    """
    try:
        checked = model.model_validate(dict(values), by_name=True, by_alias=True)
    except ValidationError as error:
        said = "; ".join(f"{problem['field']}: {problem['message']}" for problem in problems_of(error))
        raise InvalidRequest(f"connection to {plugin} refused: {said}") from None
    secrets = {name: value for name in model.model_fields if isinstance(value := getattr(checked, name), SecretStr)}
    hidden = {name for name, info in model.model_fields.items() if is_secret(info)}
    return checked.model_dump(mode="json", by_alias=False, exclude=hidden), secrets


def is_secret(info: FieldInfo) -> bool:
    return info.annotation is SecretStr or SecretStr in get_args(info.annotation)


def _pair(model: type[BaseModel], item: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals:
        raise click.BadParameter(f"expected {form}, got {item!r}", param_hint=option)
    for field, info in model.model_fields.items():
        if name in (field, info.alias):
            return field, value
    close = nearest(name, model.model_fields)
    hint = f"; did you mean {close!r}?" if close else ""
    known = ", ".join(model.model_fields)
    raise click.BadParameter(f"no field is named {name!r}{hint} (fields: {known})", param_hint=option)


def _parsed(text: str) -> Any:
    """Lists and objects are given as JSON; everything else is text that the model converts."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _ask(name: str, info: FieldInfo) -> Any:
    title = info.title or name.replace("_", " ").capitalize()
    if info.description:
        click.echo(click.style(info.description, dim=True), err=True)
    if is_secret(info):
        default = None if info.is_required() else ""
        return click.prompt(title, hide_input=True, default=default, show_default=False, err=True)
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    shown = "" if default is None and not info.is_required() else default
    return click.prompt(title, default=shown, err=True, type=str, show_default=shown not in ("", None))

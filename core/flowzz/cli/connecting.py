"""Asking for a connection's fields, as the plugin's connection model declares them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flowzz.connections import stored_secrets
from flowzz.errors import nearest
from flowzz.jobs.connection import Connection
from flowzz.plugins.connecting import is_secret


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


def asked(
    model: type[BaseModel], known: Mapping[str, Any], *, optional: bool, stored: Connection | None = None
) -> dict[str, Any]:
    """``known`` and the answers for the other fields: the required ones, and with ``optional`` all of them.

    Enter leaves a field out: then what is ``stored`` stays, or the model's default counts.
    """
    values = dict(known)
    for name, info in model.model_fields.items():
        if name in values or not (info.is_required() or optional):
            continue
        answer = _secret_answer(name, info, stored) if is_secret(info) else _answer(name, info, stored)
        if answer is not None:
            values[name] = answer
    return values


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


def _secret_answer(name: str, info: FieldInfo, stored: Connection | None) -> str | None:
    is_stored = stored is not None and name in stored_secrets(stored)
    title = f"{_title(name, info)} (Enter keeps the stored one)" if is_stored else _title(name, info)
    default = "" if is_stored or not info.is_required() else None
    return click.prompt(title, hide_input=True, default=default, show_default=False, err=True) or None


def _answer(name: str, info: FieldInfo, stored: Connection | None) -> Any:
    if stored is not None and name in stored.config:
        shown: str | None = _shown(stored.config[name])
    else:
        shown = None if info.is_required() else _shown(info.get_default(call_default_factory=True))
    answer = click.prompt(_title(name, info), default=shown, err=True, type=str, show_default=bool(shown))
    return None if answer == (shown or "") else _parsed(answer)


def _title(name: str, info: FieldInfo) -> str:
    """What is asked for; its description goes ahead of it."""
    if info.description:
        click.echo(click.style(info.description, dim=True), err=True)
    return info.title or name.replace("_", " ").capitalize()


def _shown(value: Any) -> str:
    """As ``_parsed`` reads it."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)

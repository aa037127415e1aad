"""Asking for a connection's fields, as the plugin's connection model declares them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flowzz.errors import nearest
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

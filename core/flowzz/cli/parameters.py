"""Kinds of values that commands take."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import click

from flowzz.jobs.durations import parse_duration


class Duration(click.ParamType[timedelta]):
    """``90s``, ``5m``, ``1h30m``; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class JsonObject(click.ParamType[dict[str, Any]]):
    """A JSON object as text."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"expected a JSON object, got {value!r} ({error})", param, ctx)
        if not isinstance(found, dict):
            self.fail(f'expected a JSON object such as \'{{"empresaId": "1"}}\', got {value!r}', param, ctx)
        return found


DURATION = Duration()
JSON_OBJECT = JsonObject()

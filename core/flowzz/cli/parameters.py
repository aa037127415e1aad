"""Kinds of values that commands take."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from flowzz import clock
from flowzz.jobs.durations import parse_duration
from flowzz.jobs.limits import Rate, parse_rate
from flowzz.limits import Lifted
from flowzz.queues.pauses import PauseKind


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


class Moment(click.ParamType[datetime]):
    """A moment: ISO 8601 with a time zone, or how long from now (``2h``), or ago when ``past``."""

    name = "moment"

    def __init__(self, *, past: bool = False) -> None:
        self.sign, self.side = (-1, "ago") if past else (1, "from now")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return clock.now() + self.sign * parse_duration(str(value))
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"expected 2026-12-01T08:00-03:00 or a time {self.side} such as 2h, got {value!r}", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"expected a time zone, as in {value}-03:00, got {value!r}", param, ctx)
        return moment


class RateOrNone(click.ParamType["Rate | Lifted"]):
    """``10/60s``, or ``none``."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate | Lifted:
        if isinstance(value, Rate):
            return value
        try:
            return "none" if value == "none" else parse_rate(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CountOrNone(click.ParamType["int | Lifted"]):
    """A whole number of 1 or more, or ``none``."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | Lifted:
        if value == "none":
            return "none"
        return click.IntRange(1).convert(value, param, ctx)


DURATION = Duration()
RATE_OR_NONE = RateOrNone()
COUNT_OR_NONE = CountOrNone()
MOMENT = Moment()
PAST_MOMENT = Moment(past=True)
JSON_OBJECT = JsonObject()


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``[QUEUE] --job --company``: what a pause is about."""
    command = click.option("--company", help="A company, by id.")(command)
    command = click.option("--job", help="A type of job: plugin.job.")(command)
    return click.argument("queue", required=False)(command)


def limit_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--limit``: how many of a list."""
    kind = click.IntRange(1, 500)
    return click.option("--limit", type=kind, default=50, show_default=True, help="At most so many.")(command)


def job_ids_argument(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``JOB_ID...``, as ``job_ids``."""
    return click.argument("job_ids", metavar="JOB_ID..." if required else "[JOB_ID]...", nargs=-1, required=required)


def one_target(queue: str | None, job: str | None, company: str | None) -> tuple[PauseKind, str] | None:
    """The one that was given, or None; raises UsageError for more."""
    given = [
        (kind, name)
        for kind, name in ((PauseKind.QUEUE, queue), (PauseKind.JOB, job), (PauseKind.COMPANY, company))
        if name is not None
    ]
    if len(given) > 1:
        raise click.UsageError("give one of QUEUE, --job and --company")
    return given[0] if given else None

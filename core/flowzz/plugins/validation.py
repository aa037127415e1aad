"""Whether one contribution fits: its name lies in its plugin's namespace, and its parts are what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click
from pydantic import BaseModel

from flowzz.errors import ConfigurationError
from flowzz.jobs.cron import trigger
from flowzz.jobs.definition import JOB_NAME, QUEUE_NAME, JobDefinition
from flowzz.jobs.limits import Rate
from flowzz.jobs.retry import RetryPolicy
from flowzz.jobs.sources import COLUMN_KINDS
from flowzz.plugins.contributions import (
    AdminPages,
    ConnectionType,
    DataColumn,
    DataSource,
    Migrations,
    Notifier,
    PublicPages,
    QueueLimits,
    Sandbox,
    Schedule,
    Webhook,
)

COLUMN_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}\Z")


def check_item(plugin: str, item: object) -> None:
    """Raises ConfigurationError, naming the contribution, what was expected and what came."""
    match item:
        case JobDefinition():
            _check_job(plugin, item)
        case Schedule():
            _check_schedule(plugin, item)
        case QueueLimits():
            _check_queue_limits(item)
        case DataSource():
            _check_data_source(plugin, item)
        case Notifier():
            _expect_name(plugin, "notifier", item.name)
            _expect_owner(plugin, f"notifier {item.name!r}", item.plugin)
            _expect(callable(item.notify), f"notifier {item.name!r}", "notify to be callable", item.notify)
        case Webhook() | ConnectionType() | Migrations() | Sandbox() | AdminPages() | PublicPages():
            _check_single(plugin, item)
        case click.Command():
            _expect(bool(item.name), "a command", "a name", item.name)


def _check_job(plugin: str, job: JobDefinition[Any, Any]) -> None:
    what = f"job {job.name!r}"
    _expect_name(plugin, "job", job.name)
    _expect(isinstance(job.queue, str) and bool(QUEUE_NAME.match(job.queue)), what, "a queue name", job.queue)
    _expect(callable(job.handler), what, "a handler (ctx, data)", job.handler)
    is_model = isinstance(job.payload_model, type) and issubclass(job.payload_model, BaseModel)
    _expect(is_model, what, "a pydantic model as payload", job.payload_model)
    _expect(isinstance(job.retry, RetryPolicy), what, "a RetryPolicy", job.retry)
    _expect(isinstance(job.timeout, timedelta) and job.timeout > timedelta(0), what, "a timeout above 0", job.timeout)
    _expect(
        isinstance(job.max_stalled, int) and job.max_stalled >= 0, what, "max_stalled of 0 or more", job.max_stalled
    )


def _check_schedule(plugin: str, schedule: Schedule) -> None:
    what = f"schedule {schedule.name!r}"
    _expect_name(plugin, "schedule", schedule.name)
    _expect(isinstance(schedule.job, str), what, "the name of a job", schedule.job)
    _expect(isinstance(schedule.cron, str), what, "a cron line of five fields", schedule.cron)
    _expect(isinstance(schedule.timezone, str), what, "an IANA time zone", schedule.timezone)
    _expect(callable(schedule.payloads), what, "payloads to be callable", schedule.payloads)
    is_spread = isinstance(schedule.spread, timedelta) and schedule.spread >= timedelta(0)
    _expect(is_spread, what, "a spread of 0 or more", schedule.spread)
    is_limit = isinstance(schedule.missed_limit, int) and 1 <= schedule.missed_limit <= 1000
    _expect(is_limit, what, "a missed_limit of 1 to 1,000", schedule.missed_limit)
    try:
        trigger(schedule.cron, schedule.timezone)
    except ConfigurationError as error:
        raise ConfigurationError(f"{what}: {error}") from None


def _check_queue_limits(limits: QueueLimits) -> None:
    what = f"limits of queue {limits.queue!r}"
    _expect(isinstance(limits.queue, str) and bool(QUEUE_NAME.match(limits.queue)), what, "a queue name", limits.queue)
    rate, most = limits.rate, limits.concurrency
    _expect(rate is not None or most is not None, what, "a rate or a concurrency", None)
    _expect(rate is None or isinstance(rate, Rate), what, "rate to be a Rate such as Rate(10, per=…)", rate)
    if rate is not None and rate.problem:
        raise ConfigurationError(f"{what}: {rate.problem}")
    _expect(most is None or (isinstance(most, int) and most >= 1), what, "a concurrency of 1 or more", most)


def _check_data_source(plugin: str, source: DataSource) -> None:
    what = f"data source {source.name!r}"
    _expect_name(plugin, "data source", source.name)
    _expect_owner(plugin, what, source.plugin)
    _expect(isinstance(source.topic, str) and bool(COLUMN_NAME.match(source.topic)), what, "a topic", source.topic)
    _expect(callable(source.select), what, "select to be callable", source.select)
    columns = source.columns
    _expect(isinstance(columns, tuple) and len(columns) > 0, what, "a tuple of columns", columns)
    for column in columns:
        _expect(isinstance(column, DataColumn), what, "each column to be a DataColumn", column)
        is_name = isinstance(column.name, str) and bool(COLUMN_NAME.match(column.name))
        _expect(is_name, what, "column names of lower-case letters, digits and '_'", column.name)
        _expect(
            column.kind in COLUMN_KINDS, f"{what}, column {column.name!r}", f"a kind of {COLUMN_KINDS}", column.kind
        )
    names = [column.name for column in columns]
    _expect(len(set(names)) == len(names), what, "each column once", names)


def _check_single(
    plugin: str, item: Webhook | ConnectionType | Migrations | Sandbox | AdminPages | PublicPages
) -> None:
    what = type(item).__name__
    _expect_owner(plugin, what, item.plugin)
    parts: dict[str, Callable[..., Any] | None] = {}
    match item:
        case Webhook():
            parts = {"receive": item.receive}
            if item.challenge is not None:
                parts["challenge"] = item.challenge
            _expect(isinstance(item.max_bytes, int) and item.max_bytes > 0, what, "max_bytes above 0", item.max_bytes)
        case ConnectionType():
            parts = {} if item.check is None else {"check": item.check}
            is_model = isinstance(item.model, type) and issubclass(item.model, BaseModel)
            _expect(is_model, what, "a pydantic model", item.model)
        case Migrations():
            _expect((item.folder / "versions").is_dir(), what, "a folder that holds 'versions'", str(item.folder))
        case Sandbox():
            upstream = {"blueprint": item.blueprint, "connection": item.connection}
            has_upstream = any(part is not None for part in upstream.values())
            parts = {"demo": item.demo, **(upstream if has_upstream else {})}
            _expect(isinstance(item.needs, tuple), what, "needs to be a tuple of topics", item.needs)
        case PublicPages():
            parts = {"blueprint": item.blueprint}
        case AdminPages():
            parts = {"blueprint": item.blueprint}
            _expect(isinstance(item.title, str) and bool(item.title.strip()), what, "a title", item.title)
            folder = item.translations
            _expect(folder is None or folder.is_dir(), what, "translations to be a folder", str(folder))
    for name, part in parts.items():
        _expect(callable(part), what, f"{name} to be callable", part)


def _expect_owner(plugin: str, what: str, named: object) -> None:
    _expect(named == plugin, what, f"plugin to be {plugin!r}", named)


def _expect_name(plugin: str, kind: str, name: object) -> None:
    fits = isinstance(name, str) and JOB_NAME.match(name) is not None and name.startswith(f"{plugin}.")
    _expect(fits, f"a {kind} of plugin {plugin}", f"a name of the form '{plugin}.{kind}' in lower case", name)


def _expect(fits: bool, what: str, expected: str, got: object) -> None:
    if not fits:
        raise ConfigurationError(f"{what}: expected {expected}, got {got!r:.200}")

"""A plugin that uses what the host offers a running job, once in each kind of isolation, and one that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, literal, select

from flowzz.jobs.context import EnqueuePort, JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.notifications import Notification
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload, Result
from flowzz.plugins.contributions import DataColumn, DataSource, Notifier, Plugin
from flowzz.plugins.hookspecs import hookimpl

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


class Ask(Payload):
    empresa_id: str = "aurora"
    key: str = "k1"


class Got(Result):
    sources: tuple[str, ...]
    nothing: tuple[str, ...]
    rows: int
    taken: tuple[str, ...]
    enqueued: str


class Told(Payload):
    key: str
    kind: str


def _ask(ctx: JobContext, data: Ask) -> Got:
    sources = ctx.data_sources("weather")
    with ctx.store.session() as session:
        statement = sources[0].select(data.empresa_id, START, END).subquery()
        rows = session.execute(select(func.count()).select_from(statement)).scalar_one()
    notification = Notification(
        kind="exchange.done", company_id=data.empresa_id, user_id="u1", title="Done", text="It is done.", key=data.key
    )
    return Got(
        sources=tuple(one.name for one in sources),
        nothing=tuple(one.name for one in ctx.data_sources("tides")),
        rows=rows,
        taken=ctx.notify(notification),
        enqueued=ctx.enqueue("exchange.told", {"key": data.key, "kind": "follow-up"}),
    )


@job("exchange.thread", queue="exchange")
def in_thread(ctx: JobContext, data: Ask) -> Got:
    return _ask(ctx, data)


@job("exchange.process", queue="exchange", isolation="process")
def in_process(ctx: JobContext, data: Ask) -> Got:
    return _ask(ctx, data)


@job("exchange.async", queue="exchange")
async def on_the_loop(ctx: JobContext, data: Ask) -> Got:
    return await asyncio.to_thread(_ask, ctx, data)


@job("exchange.told", queue="exchange")
def told(ctx: JobContext, data: Told) -> None:
    pass


def _weather(company_id: str, start: datetime, end: datetime) -> Select[Any]:
    return select(literal(company_id).label("city"), literal(21).label("degrees"))


def _carry(notification: Notification, store: StorePort, queue: EnqueuePort) -> bool:
    payload: Mapping[str, Any] = {"key": notification.key, "kind": notification.kind}
    name = f"told-{notification.key}"
    queue.enqueue("exchange.told", payload, EnqueueOptions(job_id=name, nonce=name))
    return True


def _refuse(notification: Notification, store: StorePort, queue: EnqueuePort) -> bool:
    return False


def _break(notification: Notification, store: StorePort, queue: EnqueuePort) -> bool:
    raise ConnectionError("the pigeon is ill")


class _Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[Any]:
        return [in_thread, in_process, on_the_loop, told]

    @hookimpl
    def flowzz_data_sources(self) -> list[Any]:
        columns = (
            DataColumn(name="city", title="City", kind="text"),
            DataColumn(name="degrees", title="°C", kind="integer"),
        )
        return [
            DataSource(name=name, plugin="exchange", topic=topic, title="Weather", columns=columns, select=_weather)
            for name, topic in (
                ("exchange.yesterday", "weather"),
                ("exchange.today", "weather"),
                ("exchange.air", "air"),
            )
        ]

    @hookimpl
    def flowzz_notifiers(self) -> list[Any]:
        return [
            Notifier(name=f"exchange.{name}", plugin="exchange", notify=notify)
            for name, notify in (("a_break", _break), ("b_refuse", _refuse), ("carry", _carry))
        ]


plugin = Plugin(name="exchange", title="Exchange", api=">=1.2,<2", hooks=_Hooks())

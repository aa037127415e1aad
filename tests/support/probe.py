"""A plugin for tests: jobs that succeed, fail, block and page, told by their payload and watched through a folder.

A handler appends a line to ``<folder>/log`` for each thing it does and blocks until ``<folder>/go`` exists, so a test
in another process sees and steers it without sleeping.
"""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from flowzz.errors import JobCanceled, NeedsCredentials, Permanent, ReleaseJob, RetryLater, Throttled
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.limits import Concurrency, RateLimit
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.retry import Exponential, NoRetry
from flowzz.plugins.contributions import Plugin, Schedule
from flowzz.plugins.hookspecs import hookimpl

QUICK = Exponential(attempts=3, delay=timedelta(milliseconds=20))


class Work(Payload):
    folder: str = ""
    empresa_id: str | None = None
    fail_until: int = 0
    raises: str = ""
    pages: int = 0
    share: float = 0


class Done(Result):
    pages: int
    attempt: int


class Mute(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class Timeless(Throttled):
    """Says no time that anybody could wait for."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.after = None  # type: ignore[assignment]


def _note(data: Work, line: str) -> None:
    if data.folder:
        with (Path(data.folder) / "log").open("a") as file:
            file.write(f"{os.getpid()} {line}\n")


@job("probe.work", queue="probe", retry=QUICK)
def work(ctx: JobContext, data: Work) -> Done:
    """Fails as told, else returns."""
    _note(data, f"work {ctx.attempt}")
    ctx.log(f"attempt {ctx.attempt}")
    match data.raises:
        case "permanent":
            raise Permanent("no use")
        case "throttled" if ctx.checkpoint is None:
            ctx.save_checkpoint({"throttled": True})
            raise Throttled(timedelta(milliseconds=30), "429")
        case "later":
            raise RetryLater(timedelta(milliseconds=30))
        case "credentials":
            raise NeedsCredentials(data.empresa_id or "", "401 from upstream")
        case "credentials-once" if ctx.checkpoint is None:
            ctx.save_checkpoint({"page": 7})
            raise NeedsCredentials(ctx.connection("probe").id, "401 from upstream")
        case "connected":
            ctx.connection("probe")
        case "exit":
            raise SystemExit(3)
        case "nan":
            return {"share": float("nan"), "note": "\ud800"}  # type: ignore[return-value]
        case "mute":
            raise Mute
        case "timeless":
            raise Timeless(timedelta(0), "an after of its own")
        case "snooze-surrogate" if ctx.checkpoint is None:
            ctx.save_checkpoint({"snoozed": True})
            ctx.snooze(timedelta(milliseconds=30), "half a pair \ud800")
        case "canceled-surrogate":
            raise JobCanceled("half a pair \ud800")
        case "log-surrogate":
            ctx.log("half a pair \ud800")
        case "surrogate":
            raise ValueError("half a pair \ud800")
        case "credentials-later":
            while not (Path(data.folder) / "go").exists():
                threading.Event().wait(0.02)
            raise NeedsCredentials(data.empresa_id or "", "401 from upstream")
        case "weird-result":
            return object()  # type: ignore[return-value]
    if ctx.attempt <= data.fail_until:
        raise ValueError(f"broken on attempt {ctx.attempt}")
    return Done(pages=0, attempt=ctx.attempt)


@job("probe.block", queue="probe", retry=QUICK)
def block(ctx: JobContext, data: Work) -> Done:
    """Runs until the folder holds a file ``go``, or until it is canceled."""
    _note(data, f"block {ctx.attempt}")
    tick = threading.Event()
    while not (Path(data.folder) / "go").exists():
        ctx.raise_if_canceled()
        tick.wait(0.02)
    _note(data, "unblocked")
    return Done(pages=0, attempt=ctx.attempt)


@job("probe.slow", queue="probe", retry=NoRetry(), timeout=timedelta(milliseconds=100))
def slow(ctx: JobContext, data: Work) -> None:
    """Reports until it is told to stop: its timeout."""
    while True:
        ctx.progress(50)
        threading.Event().wait(0.02)


@job("probe.pages", queue="probe", retry=QUICK)
def pages(ctx: JobContext, data: Work) -> Done:
    """Handles pages one by one; after page 3 of the first run it waits for ``go``."""
    start = (ctx.checkpoint or {"page": 0})["page"] + 1
    for page in range(start, data.pages + 1):
        _note(data, f"page {page}")
        ctx.save_checkpoint({"page": page})
        ctx.progress(100 * page / data.pages, f"page {page}/{data.pages}")
        while page == 3 and start == 1 and not (Path(data.folder) / "go").exists():
            threading.Event().wait(0.02)
    return Done(pages=data.pages - start + 1, attempt=ctx.attempt)


@job(
    "probe.limited",
    queue="probe",
    retry=QUICK,
    priority=7,
    limits=[
        RateLimit("probe.phone", 2, per=timedelta(milliseconds=300), by="folder"),
        Concurrency("probe.company", 1, by="empresa_id"),
    ],
)
def limited(ctx: JobContext, data: Work) -> Done:
    """Under two limits; holds the first one once when told."""
    _note(data, f"limited {data.empresa_id}")
    if data.raises == "hold" and ctx.checkpoint is None:
        ctx.save_checkpoint({"held": True})
        raise Throttled(timedelta(milliseconds=200), "429", hold="probe.phone")
    return Done(pages=0, attempt=ctx.attempt)


@job("probe.steps", queue="probe", retry=QUICK)
def steps(ctx: JobContext, data: Work) -> dict[str, object]:
    """Sends twice, each as a durable step; between them it fails, snoozes, blocks or hands itself back as told."""
    first = ctx.step("send-1", _send, data, 1)
    if data.raises == "duplicate":
        ctx.step("send-1", _send, data, 1)
    if data.raises == "snooze" and ctx.checkpoint is None:
        ctx.save_checkpoint({"snoozed": True})
        ctx.snooze(timedelta(milliseconds=30), "the report is not ready")
    if data.raises == "release":
        raise ReleaseJob("asked to")
    if ctx.attempt <= data.fail_until:
        raise ValueError(f"broken on attempt {ctx.attempt}")
    second = ctx.step("send-2", _send, data, 2)
    while data.raises == "block" and not (Path(data.folder) / "go").exists():
        ctx.raise_if_stopping("the worker is stopping")
        threading.Event().wait(0.02)
    return {"first": first, "second": second}


def _send(data: Work, number: int) -> Done:
    _note(data, f"send {number}")
    return Done(pages=number, attempt=0)


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [work, block, slow, pages, limited, steps]

    @hookimpl
    def flowzz_schedules(self) -> list[Schedule]:
        return [
            Schedule(
                name="probe.work",
                job="probe.work",
                cron="0 * * * *",
                payloads=lambda store: [Work(empresa_id="loja-1"), Work(empresa_id="loja-2")],
            )
        ]


plugin = Plugin(name="probe", title="Probe", api=">=1,<2", hooks=Hooks())

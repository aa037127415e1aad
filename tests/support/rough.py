"""A plugin for tests whose jobs behave badly: in processes of their own, on threads that never come back."""

from __future__ import annotations

import asyncio
import base64
import builtins
import ctypes
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.retry import Custom, Fixed, NoRetry
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.queues.claims import Settlement, StepReply
from flowzz.queues.transitions import Transitions
from flowzz.workers.journal import Journal
from flowzz.workers.mailbox import Mailbox


class Rough(Payload):
    folder: str = ""
    how: str = ""


class Seen(Result):
    pid: int
    stopping: bool = False


def note(data: Rough, line: str) -> None:
    with (Path(data.folder) / "log").open("a") as file:
        file.write(f"{os.getpid()} {line}\n")


def noted_before(data: Rough, line: str) -> bool:
    log = Path(data.folder) / "log"
    return log.exists() and any(old.endswith(f" {line}") for old in log.read_text().splitlines())


def until_go(ctx: JobContext, data: Rough) -> None:
    while not (Path(data.folder) / "go").exists() and not ctx.stopping:
        time.sleep(0.02)


@job("rough.apart", queue="rough", retry=NoRetry(), isolation="process", timeout=timedelta(seconds=30))
def apart(ctx: JobContext, data: Rough) -> Seen:
    """Ends as told."""
    if data.folder:
        note(data, f"apart {ctx.attempt}")
    match data.how:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "exit-0":
            os._exit(0)
        case "exit-1":
            os._exit(1)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("broken")
        case "report":
            ctx.progress(40, "page 4/10")
            ctx.log("from the child")
            ctx.save_checkpoint({"page": 4})
        case "big":
            return {"text": "x" * 3_000_000}  # type: ignore[return-value]
        case "grandchild":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            note(data, f"grandchild {child.pid}")
        case "daemon":
            _daemon(data)
        case "overflow":
            faulthandler._stack_overflow()  # type: ignore[attr-defined]
        case "closed":
            os.closerange(3, 256)
        case "elsewhere":
            os.chdir("/")
            os.umask(0o777)
        case "where":
            note(data, f"where {Path.cwd()} {os.umask(0o22)}")
        case "gil":
            ctypes.PyDLL(None).sleep(3)
        case "wait":
            until_go(ctx, data)
        case "loop":
            while True:
                pass
    return Seen(pid=os.getpid(), stopping=ctx.stopping)


def _daemon(data: Rough) -> None:
    """Fork twice and leave the session, as daemons do, so that no process group holds the grandchild."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            note(data, "daemon")
            time.sleep(600)
        os._exit(0)
    os.waitpid(child, 0)
    while not noted_before(data, "daemon"):
        time.sleep(0.01)


@job("rough.deaf", queue="rough", retry=NoRetry(), isolation="process", timeout=timedelta(milliseconds=600))
def deaf(ctx: JobContext, data: Rough) -> Seen:
    """Never returns; ``stubborn`` ignores SIGTERM as well, ``swallow`` whatever is raised in it."""
    if data.how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(data, "deaf")
    while True:
        try:
            time.sleep(600)
        except BaseException:
            if data.how != "swallow":
                raise


@job("rough.greedy", queue="rough", retry=NoRetry(), isolation="process", memory_limit=64 * 1024 * 1024)
def greedy(ctx: JobContext, data: Rough) -> Seen:
    """Takes more memory than it may."""
    hoard = []
    while True:
        hoard.append(bytearray(8 * 1024 * 1024))


@job("rough.modest", queue="rough", retry=NoRetry(), isolation="process", memory_limit=256 * 1024 * 1024)
def modest(ctx: JobContext, data: Rough) -> Seen:
    """Stays under its cap."""
    return Seen(pid=len(bytearray(64 * 1024 * 1024)))


@job("rough.neighbour", queue="rough", retry=NoRetry())
def neighbour(ctx: JobContext, data: Rough) -> Seen:
    """In a thread of the worker, until the folder holds ``go``."""
    note(data, "neighbour")
    while not (Path(data.folder) / "go").exists():
        ctx.raise_if_canceled()
        threading.Event().wait(0.02)
    return Seen(pid=os.getpid())


@job("rough.deadly", queue="rough", retry=NoRetry())
def deadly(ctx: JobContext, data: Rough) -> Seen:
    """In a thread: takes its worker along each time, or with ``once-…`` the first time only."""
    first = not noted_before(data, "deadly")
    note(data, "deadly")
    if first or not data.how.startswith("once-"):
        match data.how.removeprefix("once-"):
            case "segfault":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "exit-0":
                os._exit(0)
            case "gil":
                ctypes.PyDLL(None).sleep(4)
    return Seen(pid=os.getpid())


@job("rough.quick", queue="rough", retry=NoRetry())
def quick(ctx: JobContext, data: Rough) -> Seen:
    """Notes its id and returns."""
    note(data, f"quick {ctx.job_id}")
    return Seen(pid=os.getpid())


def _patience(failed: int, error: BaseException | None) -> timedelta | None:
    if isinstance(error, ZeroDivisionError):
        raise RuntimeError("a broken policy")
    return timedelta(milliseconds=10)


@job(
    "rough.ruled",
    queue="rough",
    retry=Fixed(attempts=2, delay=timedelta(milliseconds=10)),
    retry_on={
        ValueError: NoRetry(),
        OSError: Fixed(attempts=4, delay=timedelta(milliseconds=10)),
        ArithmeticError: Custom(_patience, attempts=3),
    },
)
def ruled(ctx: JobContext, data: Rough) -> Seen:
    """Raises the built-in exception of that name."""
    raise getattr(builtins, data.how)("as told")


@job("rough.stuck", queue="rough", retry=NoRetry(), timeout=timedelta(milliseconds=200))
def stuck(ctx: JobContext, data: Rough) -> Seen:
    """In a thread; does not look at anything until the folder holds ``free``."""
    note(data, "stuck")
    while not (Path(data.folder) / "free").exists():
        threading.Event().wait(0.02)
    return Seen(pid=os.getpid())


@job("rough.saboteur", queue="rough", retry=NoRetry())
def saboteur(ctx: JobContext, data: Rough) -> Seen:
    """Once: its worker's dispatcher never returns from the step that would settle this job, or from a call after it."""
    if not noted_before(data, "saboteur"):
        note(data, "saboteur")
        _hang(data.how, ctx.job_id)
    return Seen(pid=os.getpid())


def _hang(where: str, job_id: str) -> None:
    step, forever = Transitions.step, threading.Event()
    after = {"journal": (Journal, "write"), "mailbox": (Mailbox, "take")}

    def sabotaged(self: Transitions, *arguments: Any, settlements: Sequence[Settlement] = (), **more: Any) -> StepReply:
        settles_it = any(one.job_id == job_id for one in settlements)
        if settles_it and where == "step":
            forever.wait()
        reply = step(self, *arguments, settlements=settlements, **more)
        if settles_it:
            owner, method = after[where]
            setattr(owner, method, lambda *_, **__: forever.wait())
        return reply

    setattr(Transitions, "step", sabotaged)  # noqa: B010 - what mypy forbids to assign


@job("rough.aio", queue="rough", retry=NoRetry(), timeout=timedelta(seconds=30))
async def aio(ctx: JobContext, data: Rough) -> Seen:
    """On the worker's loop, until the folder holds ``go``; then it ends as told."""
    note(data, f"aio {threading.current_thread().name}")
    while not (Path(data.folder) / "go").exists():  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(0.02)
    match data.how:
        case "raise":
            raise ValueError("broken")
        case "exit":
            await asyncio.create_task(_exit())
        case "report":
            await asyncio.to_thread(ctx.progress, 40, "page 4/10")
    return Seen(pid=os.getpid())


async def _exit() -> None:
    raise SystemExit(3)


@job("rough.aio_late", queue="rough", retry=NoRetry(), timeout=timedelta(milliseconds=200))
async def aio_late(ctx: JobContext, data: Rough) -> Seen:
    """Longer than its timeout."""
    await asyncio.sleep(600)
    return Seen(pid=os.getpid())


@job("rough.aio_apart", queue="rough", retry=NoRetry(), isolation="process")
async def aio_apart(ctx: JobContext, data: Rough) -> Seen:
    """On a loop of its own, in a process of its own."""
    await asyncio.sleep(0)
    return Seen(pid=os.getpid())


def _leak(ctx: JobContext, data: Rough) -> Seen:
    """Says its company's token in every place that a handler can, and fails with two megabytes of it."""
    token = ctx.store.connection(data.how, "rough").secrets["token"].get_secret_value()
    ctx.log(f"calling with {token}")
    ctx.progress(10, f"as {token}")
    structlog.get_logger("rough").warning("refused", answer=f"bad key {token}")
    url = f"https://upstream.test/?access_token={quote(token, safe='')}"
    basic = base64.b64encode(token.encode()).decode()
    # Odd lengths, so that every place at which a text may be cut falls into a token some time.
    noise = " ".join(f"{'x' * (n % 97)}{token}" for n in range(2_000_000 // (49 + len(token))))
    try:
        raise ValueError(f"{url} {json.dumps({'Authorization': basic, 'body': token})}")
    except ValueError as error:
        raise RuntimeError(f"{token} {noise} {token}") from error


@job("rough.leaky", queue="rough", retry=Fixed(attempts=2, delay=timedelta(milliseconds=10)))
def leaky(ctx: JobContext, data: Rough) -> Seen:
    """In a thread of the worker."""
    return _leak(ctx, data)


@job("rough.leaky_apart", queue="rough", retry=NoRetry(), isolation="process")
def leaky_apart(ctx: JobContext, data: Rough) -> Seen:
    """In a process of its own."""
    return _leak(ctx, data)


@job("rough.leaky_aio", queue="rough", retry=NoRetry())
async def leaky_aio(ctx: JobContext, data: Rough) -> Seen:
    """On the worker's loop, the calls that block in a thread."""
    return await asyncio.to_thread(_leak, ctx, data)


LEAKY = [leaky, leaky_apart, leaky_aio]


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [
            apart,
            deaf,
            deadly,
            greedy,
            modest,
            neighbour,
            quick,
            ruled,
            stuck,
            saboteur,
            aio,
            aio_late,
            aio_apart,
            *LEAKY,
        ]


plugin = Plugin(name="rough", title="Rough", api=">=1,<2", hooks=Hooks())

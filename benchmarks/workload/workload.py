"""What every Python system under measurement does alike: the payload, the handlers, the producer's loop.

Each handler call appends 24 bytes to one file in shared memory: when the job was enqueued (or 0), when its handler
started, and which of the workers it was. Times are CLOCK_MONOTONIC, one clock for all processes of the machine, which
Node's ``process.hrtime`` reads too. ``workload.js`` is the same for Node.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

URL = os.environ.get("BENCH_URL", "redis://127.0.0.1:6379/0")
PORT = int(URL.rpartition(":")[2].partition("/")[0])
JOB = os.environ.get("BENCH_JOB", "noop")
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "10"))
COMPANIES = int(os.environ.get("BENCH_COMPANIES", "100"))
IN_BLOCKS = "BENCH_BLOCKS" in os.environ
WORKER = float(os.environ.get("BENCH_WORKER", "0"))
IO_S = 0.02
WARM_UP = 200
CHUNK = 500
IN_FLIGHT = 50
RESULT = {"messageId": "wamid.HBgNNTUxMTk5OTk5OTk5ORUCABEY", "status": "sent"}

_starts = os.open(os.environ.get("BENCH_STARTS", os.devnull), os.O_WRONLY | os.O_APPEND)
_pack = struct.Struct("<ddd").pack

Data = dict[str, Any]


def started(sent_at: float = 0.0) -> None:
    os.write(_starts, _pack(sent_at, time.monotonic(), WORKER))


def noop(data: Data) -> dict[str, str]:
    started(data.get("sentAt", 0.0))
    return dict(RESULT)


def io(data: Data) -> dict[str, str]:
    started(data.get("sentAt", 0.0))
    time.sleep(IO_S)
    return dict(RESULT)


async def async_noop(data: Data) -> dict[str, str]:
    return noop(data)


async def async_io(data: Data) -> dict[str, str]:
    started(data.get("sentAt", 0.0))
    await asyncio.sleep(IO_S)
    return dict(RESULT)


def payloads(count: int) -> Iterator[Data]:
    """About 220 bytes of JSON each; the companies take turns, or have their jobs one behind the other's."""
    companies = [str(uuid.UUID(int=number + 1)) for number in range(COMPANIES)]
    for number in range(count):
        company = companies[number * COMPANIES // count if IN_BLOCKS else number % COMPANIES]
        yield {"empresaId": company, "to": "+5511999999999", "message": "x" * 100, "sentAt": 0.0}


One = Callable[[Data], Awaitable[Any]]
Many = Callable[[Sequence[Data]], Awaitable[Any]]


def produce(one: Callable[[Data], Any], many: Callable[[Sequence[Data]], Any] | None = None) -> None:
    """The command line of a producer with blocking calls: see ``produce_async``."""

    async def one_async(data: Data) -> None:
        one(data)

    async def many_async(chunk: Sequence[Data]) -> None:
        if many is not None:
            many(chunk)

    asyncio.run(produce_async(one_async, many_async if many is not None else None, blocking=True))


async def produce_async(one: One, many: Many | None = None, *, blocking: bool = False) -> None:
    """``one COUNT``, ``bulk COUNT``, ``fill COUNT`` (the quickest way) or ``beat COUNT GAP_S``; prints jobs a second.

    The first 200 are not timed.
    """
    mode, count = sys.argv[1], int(sys.argv[2])
    if mode == "beat":
        return await _beat(one, count, float(sys.argv[3]))
    data = list(payloads(count))
    mode = ("bulk" if many else "one" if blocking else "gather") if mode == "fill" else mode
    warm = min(WARM_UP, count // 2)
    await _send(mode, one, many, data[:warm])
    began = time.monotonic()
    await _send(mode, one, many, data[warm:])
    print(json.dumps({"rate": (count - warm) / (time.monotonic() - began)}))
    return None


async def _send(mode: str, one: One, many: Many | None, data: Sequence[Data]) -> None:
    if mode == "one":
        for each in data:
            await one(each)
        return
    for start in range(0, len(data), CHUNK if mode == "bulk" else IN_FLIGHT):
        if mode == "bulk" and many is not None:
            await many(data[start : start + CHUNK])
        else:
            await asyncio.gather(*(one(each) for each in data[start : start + IN_FLIGHT]))


async def _beat(one: One, count: int, gap_s: float) -> None:
    """One job at a time, each with the moment before it was enqueued."""
    for data in payloads(count):
        data["sentAt"] = time.monotonic()
        await one(data)
        await asyncio.sleep(max(0.0, gap_s - (time.monotonic() - data["sentAt"])))

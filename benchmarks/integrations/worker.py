"""The worker under measurement: a process of its own that tells, at its end, what it used.

    python -m integrations.worker HOME CONCURRENCY

Settings come from the environment. It says ``ready`` on stdout once it works, and a line of JSON when SIGTERM ends it.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from flowzz import logs
from flowzz.app import Flowzz
from flowzz.settings import Settings
from flowzz.workers import Worker
from flowzz.workers import worker as worker_module


class Clock:
    """Seconds that threads spent in something, added up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds = 0.0
        self.times = 0

    def add(self, seconds: float, times: int = 0) -> None:
        with self._lock:
            self.seconds += seconds
            self.times += times


UPSTREAM, HANDLERS = Clock(), Clock()


class TimedStream(httpx.SyncByteStream):
    """A body whose waiting for bytes counts as waiting for the upstream."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._stream)
        while True:
            began = time.perf_counter()
            part = next(parts, None)
            UPSTREAM.add(time.perf_counter() - began)
            if part is None:
                return
            yield part

    def close(self) -> None:
        self._stream.close()


def watch_upstream() -> None:
    """Count the time from the request's first byte to the answer's last."""
    send = httpx.HTTPTransport.handle_request

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        began = time.perf_counter()
        response = send(self, request)
        UPSTREAM.add(time.perf_counter() - began, 1)
        response.stream = TimedStream(response.stream)  # type: ignore[arg-type]
        return response

    httpx.HTTPTransport.handle_request = handle_request  # type: ignore[method-assign]


def watch_handlers() -> None:
    perform = worker_module.perform

    def timed(execution: Any) -> Any:
        began = time.perf_counter()
        try:
            return perform(execution)
        finally:
            HANDLERS.add(time.perf_counter() - began, 1)

    worker_module.perform = timed


def _peak_mb() -> float:
    """The largest resident memory of this program: ``ru_maxrss`` would tell that of the process it was started by."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(home: str, concurrency: str) -> None:
    watch_upstream()
    watch_handlers()
    settings = Settings.load(home=Path(home), concurrency=int(concurrency))
    logs.configure(settings, "worker", console=False)
    with Flowzz.open(settings) as app:
        worker = Worker(app)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        print("ready", flush=True)
        worker.run()
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    used = {
        "peak_mb": _peak_mb(),
        "child_peak_mb": children.ru_maxrss / 1024,
        "cpu_s": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "upstream_s": UPSTREAM.seconds,
        "calls": UPSTREAM.times,
        "handler_s": HANDLERS.seconds,
    }
    print(json.dumps(used), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

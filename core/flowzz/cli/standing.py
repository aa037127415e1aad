"""Flowzz standing: the home prepared, Valkey running, sockets open, and the tree of processes to put on top."""

from __future__ import annotations

import http.client
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from pydantic import SecretStr

from flowzz import logs
from flowzz.cli.server import GRACE_S
from flowzz.cli.session import Session
from flowzz.errors import ConfigurationError, FlowzzError, MigrationFailed
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz.store.private_files import private_folder
from flowzz.store.records import Role
from flowzz.supervision import BundledValkey, Child, Program, Tree
from flowzz.supervision.program import FLOWZZ
from flowzz.supervision.spawning import FileLock, listen

log = structlog.get_logger("flowzz.up")

ANSWERS_WITHIN_S = 60.0
SPARE_S = 5.0
"""Seconds beyond its own limit before a child that should have ended by itself is killed."""


@dataclass(frozen=True)
class Plan:
    """What ``up`` and ``demo`` were asked for; None means as the settings say."""

    host: str | None = None
    port: int | None = None
    workers: int = 1
    sandbox: bool = False
    sandbox_port: int = 0


@dataclass(frozen=True)
class Login:
    email: str
    password: SecretStr


@dataclass
class Standing:
    """``settings`` name the port that was really taken; ``first_admin`` is set when there was no user before."""

    settings: Settings
    store: Store
    plan: Plan
    valkey: BundledValkey | None
    web_socket: socket.socket
    sandbox_socket: socket.socket | None
    first_admin: Login | None
    quiet: bool
    sandbox_url: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if self.sandbox_socket is not None:
            self.sandbox_url = "http://{}:{}".format(*self.sandbox_socket.getsockname()[:2])

    @property
    def loopback_url(self) -> str:
        """Where this machine itself reaches the web."""
        host = self.settings.host
        return f"http://{'127.0.0.1' if host in ('', '0.0.0.0', '::') else host}:{self.settings.port}"  # noqa: S104

    def tree(self) -> Tree:
        """In the order they stop: nobody new comes in, nothing new is fired, what runs ends, then what it used."""
        workers = [self._program(f"worker-{number}", "worker") for number in range(1, self.plan.workers + 1)]
        stages: list[list[Child]] = [
            [self._program("web", "web", listener=self.web_socket)],
            [self._program("scheduler", "scheduler")],
            [*workers],
        ]
        if self.sandbox_socket is not None:
            stages.append([self._program("sandbox", "sandbox", listener=self.sandbox_socket)])
        if self.valkey is not None:
            stages.append([self.valkey])
        return Tree(stages)

    def _program(self, name: str, command: str, *, listener: socket.socket | None = None) -> Program:
        goodbye, grace_s = {
            "web": ("web stops accepting and finishes its requests", GRACE_S),
            "sandbox": ("sandbox stops", GRACE_S),
            "scheduler": ("scheduler stops", 5.0),
            "worker": ("worker claims no more and finishes its active jobs", self.settings.shutdown_grace),
        }[command]
        words = [*FLOWZZ, *(["--quiet"] if self.quiet else []), command]
        if listener is not None:
            words += ["--fd", str(listener.fileno())]
        return Program(
            name,
            words,
            goodbye=goodbye,
            grace_s=grace_s + SPARE_S,
            environment=self._environment(),
            sockets=[listener] if listener is not None else [],
        )

    def _environment(self) -> dict[str, str]:
        given = {
            "FLOWZZ_HOME": str(self.settings.data_folder),
            "FLOWZZ_HOST": self.settings.host,
            "FLOWZZ_PORT": str(self.settings.port),
        }
        return given | ({"FLOWZZ_REDIS_URL": self.valkey.url} if self.valkey else {})


@contextmanager
def standing(session: Session, plan: Plan, role: str) -> Iterator[Standing]:
    """Prepare everything that must be there before the first child starts, and close it afterwards.

    Raises ConfigurationError when Flowzz already runs for this home, or a port is in use.
    """
    folder = private_folder(session.settings.data_folder)
    with ExitStack() as resources:
        lock = FileLock(folder / "up.lock")
        if not lock.acquire():
            raise ConfigurationError(
                f"Flowzz already runs for {folder} (process {lock.holder()}); stop that one, "
                "or set FLOWZZ_HOME to another folder"
            )
        resources.callback(lock.release)
        session.log_as(role, console=True)
        web_socket, settings = _listen(session.settings, plan)
        resources.callback(web_socket.close)
        sandbox_socket = listen("127.0.0.1", plan.sandbox_port, "--sandbox-port") if plan.sandbox else None
        if sandbox_socket is not None:
            resources.callback(sandbox_socket.close)
        store = Store.open(settings)
        resources.callback(_close, store)
        _migrate(session, store)
        admin = _first_admin(settings, store)
        valkey = BundledValkey(settings) if settings.uses_bundled_redis else None
        if valkey is not None:
            valkey.start()
            resources.callback(valkey.stop)
        yield Standing(settings, store, plan, valkey, web_socket, sandbox_socket, admin, session.quiet)


def wait_until_it_answers(url: str, path: str) -> None:
    """Until ``url`` answers a request, whatever it says; FlowzzError after a minute."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    place = url.removeprefix("http://")
    while time.monotonic() < deadline:
        link = http.client.HTTPConnection(place, timeout=ANSWERS_WITHIN_S)
        with suppress(OSError, http.client.HTTPException):
            link.request("GET", path, headers={"Connection": "close"})
            link.getresponse().read()
            return
        link.close()
        time.sleep(0.1)
    raise FlowzzError(f"{url} did not answer within {ANSWERS_WITHIN_S:.0f} s; see the lines above and logs/error.log")


def _listen(settings: Settings, plan: Plan) -> tuple[socket.socket, Settings]:
    host = plan.host or settings.host
    listener = listen(host, settings.port if plan.port is None else plan.port)
    return listener, settings.model_copy(update={"host": host, "port": listener.getsockname()[1]})


def _migrate(session: Session, store: Store) -> None:
    """A plugin whose migrations fail is reported and stays behind; without the core's tables nothing works."""
    try:
        ran = store.migrate(session.plugins.migrations)
    except MigrationFailed as error:
        if "core" in error.failures:
            raise
        log.error("a plugin's tables are not up to date; its jobs will fail", error=str(error))
        return
    if ran:
        log.info("database migrated", ran=ran)


def _first_admin(settings: Settings, store: Store) -> Login | None:
    if store.users():
        return None
    password = settings.admin_password or SecretStr(secrets.token_urlsafe(15))
    logs.register_secret(password)
    user = store.add_user(settings.admin_email, password, Role.ADMIN)
    store.record_audit("cli", "user.add", user.email, {"role": Role.ADMIN.value, "first": True})
    return Login(user.email, password)


def _close(store: Store) -> None:
    store.close()
    log.info("database closed")

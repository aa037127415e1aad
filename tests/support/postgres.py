"""A private PostgreSQL server for a test run, from the binaries of this machine."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import psycopg

READY = b"database system is ready to accept connections"
# A test database may be lost with the machine's power.
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=", "max_connections=120")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class PostgresUnavailable(Exception):
    """There is no PostgreSQL on this machine and it cannot be installed."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server on a Unix socket that nobody else knows; anybody on the socket is its superuser."""

    socket_folder: Path

    def url(self, database: str) -> str:
        """DATABASE_URL of one of its databases."""
        return f"postgresql://flowzz@/{database}?host={self.socket_folder}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DATABASE_URL of a new, empty database, dropped at the end whoever is still connected."""
        name = f"test_{uuid.uuid4().hex}"
        self._run(f'CREATE DATABASE "{name}"')
        try:
            yield self.url(name)
        finally:
            self._run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server, and stop it with its data removed. It also ends when this process dies.

    Raises PostgresUnavailable when there are no binaries and they cannot be installed.
    """
    binaries = _binaries()
    # A socket's path may have 107 bytes at most, and another user must be able to get there.
    folder = Path(tempfile.mkdtemp(prefix="fpg"))
    user = _user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        data = folder / "data"
        _as(user, [binaries / "initdb", "-D", data, "-U", "flowzz", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
        with _running(binaries, data, folder, user):
            yield PostgresServer(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(binaries: Path, data: Path, folder: Path, user: pwd.struct_passwd | None) -> Iterator[None]:
    options = [part for setting in FAST for part in ("-c", setting)]
    server = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-k", folder, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C", "PATH": os.defpath},
        cwd=folder,
        preexec_fn=_die_with_parent,
        **_identity(user),
    )
    assert server.stderr is not None
    with server:
        try:
            _await_ready(server.stderr)
            # Somebody must keep reading, or a full pipe would stop the server.
            reader = Thread(target=deque, args=(server.stderr, 0), daemon=True)
            reader.start()
            yield
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
        reader.join(timeout=30)


def _await_ready(said: Iterable[bytes]) -> None:
    lines = []
    for line in said:
        lines.append(line)
        if READY in line:
            return
    raise RuntimeError(b"".join(lines).decode(errors="replace"))


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _as(user: pwd.struct_passwd | None, command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", **_identity(user))
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")


def _identity(user: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; then it runs as ``postgres``, or ``nobody``."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _binaries() -> Path:
    folder = _found()
    if folder is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install()
        folder = _found()
    if folder is None:
        raise PostgresUnavailable("no initdb found; install PostgreSQL (on Debian: apt-get install postgresql)")
    return folder


def _found() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    if config := shutil.which("pg_config"):
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        places.append(Path(told))
    places += [Path(found).resolve().parent for name in ("initdb",) if (found := shutil.which(name))]
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update",), ("install", "-y", "--no-install-recommends", "postgresql")):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments], capture_output=True, text=True, env=environment, timeout=600
        )
        if done.returncode:
            raise PostgresUnavailable(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-500:]}")

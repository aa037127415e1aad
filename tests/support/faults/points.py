"""Crash points: a process kills itself with SIGKILL before or after its n-th round trip to Redis.

Every command, pipeline and script call of redis-py goes through ``send_packed_command`` and ``read_response`` of a
connection, so what is counted there is every round trip there is, those of code not yet written included. Setting up a
connection (HELLO, CLIENT, SELECT) does not count. *Before*: nothing of it was sent. *After*: its answer has been read,
nobody has seen it. The count is shared by a process and those it forks from then on.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from redis.connection import AbstractConnection

from flowzz.queues import lua

VARIABLE = "FAULTS_POINT"
NURSERY = "flowzz.workers.nursery"
When = Literal["before", "after"]
Armed = Literal["self", "child"]
Victims = Literal["self", "family", "fork"]


@dataclass(frozen=True, slots=True)
class Point:
    """Where to die, and what is told of it.

    ``role``: whose round trips count, ``self`` (this process and what it forks) or ``child`` (the processes of jobs).
    ``marker``: the file that is left there; once it exists nobody dies any more. ``trips``: a file that gets a line a
    round trip. ``victims``: ``self``; or for plain RQ, whose worker forks a horse for each job, ``family`` (both of
    them) or ``fork`` (the horse, and only its round trips count).
    """

    number: int
    when: When
    marker: str
    trips: str = ""
    role: Armed = "self"
    victims: Victims = "self"

    def dump(self) -> str:
        return json.dumps(asdict(self))


class _Counter:
    """A number in memory that forked processes share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            number = int.from_bytes(self._memory[:8], "little") + 1
            self._memory[:8] = number.to_bytes(8, "little")
            return number


def arm(point: Point) -> None:
    """From now on this process, and what it forks, dies at that point."""
    counter, here, armed = _Counter(), threading.local(), os.getpid()
    send, read, connect = (
        AbstractConnection.send_packed_command,
        AbstractConnection.read_response,
        AbstractConnection.connect_check_health,
    )

    def setting_up(connection: Any, *arguments: Any, **options: Any) -> Any:
        here.quiet = True
        try:
            return connect(connection, *arguments, **options)
        finally:
            here.quiet = False

    def sending(connection: Any, command: Any, check_health: bool = True) -> Any:
        if not connection._sock:
            connection.connect_check_health(check_health=False)
        counts = point.victims != "fork" or os.getpid() != armed
        if counts and not getattr(here, "quiet", False):
            connection.trip = number = counter.next()
            _note(point, number, command)
            if number == point.number and point.when == "before":
                _die(point, command, armed)
            connection.trip_command = command
        return send(connection, command, check_health)

    def reading(connection: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return read(connection, *arguments, **options)
        finally:
            answered = sys.exc_info()[0] is None or not issubclass(sys.exc_info()[0], OSError)  # type: ignore[arg-type]
            if answered and point.when == "after" and getattr(connection, "trip", -1) == point.number:
                _die(point, connection.trip_command, armed)

    _replace(AbstractConnection, connect_check_health=setting_up, send_packed_command=sending, read_response=reading)


def _replace(owner: type, **methods: Callable[..., Any]) -> None:
    for name, method in methods.items():
        setattr(owner, name, method)


def arm_children() -> None:
    """In a nursery whose worker was told to let the process of a job die: the processes it forks are armed."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == NURSERY:
        arm_from_environment("child")


def arm_from_environment(role: Armed) -> None:
    """As the environment says, if it says anything and this process has that role."""
    given = os.environ.get(VARIABLE)
    if given and (point := Point(**json.loads(given))).role == role:
        arm(point)


def _note(point: Point, number: int, command: Any) -> None:
    if point.trips:
        descriptor = os.open(point.trips, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, f"{number} {name_of(command)}\n".encode())
        os.close(descriptor)


def _die(point: Point, command: Any, armed: int) -> None:
    with suppress(FileExistsError):
        descriptor = os.open(point.marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, name_of(command).encode())
        os.close(descriptor)
        for pid in _family(armed) if point.victims == "family" else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def _family(armed: int) -> list[int]:
    """The others of the armed process and those it forked."""
    if os.getpid() != armed:
        return [armed]
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


def name_of(command: Any) -> str:
    """The first command of what is about to be sent, a script by its name: ``EVALSHA step``."""
    data = (
        command.encode() if isinstance(command, str) else command if isinstance(command, bytes) else b"".join(command)
    )
    words = data.split(b"\r\n", 5)[2:5:2]
    verb = words[0].decode(errors="replace").upper() if words else "?"
    if verb == "EVALSHA" and len(words) > 1:
        return f"EVALSHA {_scripts().get(words[1].decode(errors='replace'), '?')}"
    return verb


@cache
def _scripts() -> dict[str, str]:
    names = [path.stem for path in (Path(lua.__file__).parent / "scripts").glob("*.lua")]
    return {hashlib.sha1(lua.script_text(name).encode()).hexdigest(): name for name in names}

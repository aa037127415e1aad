"""Processes to be killed, forked from one that has loaded everything: a start costs milliseconds, not a second.

``with zygote() as start:`` gives ``start(role, folder, redis_url, …)``, which returns the process. What a role is told
stands in its environment; one that came to its end leaves ``<folder>/<role>.done``, its output ``<folder>/<role>.log``.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

TESTS = Path(__file__).parents[2]
HEEDS_VARIABLE = "FAULTS_HEEDS"
"""The file that a role makes once SIGTERM asks it to end."""
PACE = {
    "FLOWZZ_LEASE": "3",
    "FLOWZZ_HEARTBEAT": "0.5",
    "FLOWZZ_SWEEP": "0.5",
    "FLOWZZ_SHUTDOWN_GRACE": "10",
    "FLOWZZ_KEEP_COMPLETED": "100000",
    "FLOWZZ_KEEP_FAILED": "100000",
    "FLOWZZ_CONCURRENCY": "4",
}
"""The clock's scale: a tenth of the defaults. Nothing that ended is let go, or it could not be counted."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process of a role."""

    pid: int
    parent: int
    role: str
    folder: Path

    @property
    def alive(self) -> bool:
        """False too when another process has its number by now."""
        return parent_of(self.pid) == self.parent

    @property
    def finished(self) -> bool:
        """True when it came to its own end, neither killed nor broken."""
        return (self.folder / f"{self.role}.done").exists()

    @property
    def heeds_sigterm(self) -> bool:
        """True from when on SIGTERM asks it to end; before, SIGTERM just kills it."""
        return (self.folder / f"{self.role}.heeds").exists()

    def output(self) -> str:
        log = self.folder / f"{self.role}.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: int) -> None:
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float = 30) -> bool:
        """True once it has ended; False when ``timeout`` seconds were over first."""
        deadline = time.monotonic() + timeout
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.005)
        return not self.alive


def parent_of(pid: int) -> int | None:
    """The process that forked it; None when there is no such process, or only its remains."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)


class Start(Protocol):
    """Starts a role in ``folder`` (its home, its log); ``more`` goes into its environment."""

    def __call__(self, role: str, folder: Path, redis_url: str, **more: str) -> Member: ...


@contextmanager
def zygote() -> Iterator[Start]:
    """The process that forks the others; they die with it when the block ends. Threads may share ``start``."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FLOWZZ_", "REDIS_", "DATABASE_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "support.faults.roles"],
        cwd=TESTS,
        env={**environment, "PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pipes, lock = (process.stdin, process.stdout), threading.Lock()

    def start(role: str, folder: Path, redis_url: str, **more: str) -> Member:
        heeds = folder / f"{role}.heeds"
        told = {**PACE, "FLOWZZ_HOME": str(folder / "home"), "REDIS_URL": redis_url, HEEDS_VARIABLE: str(heeds), **more}
        (folder / f"{role}.done").unlink(missing_ok=True)
        heeds.unlink(missing_ok=True)
        with lock:
            pipes[0].write(json.dumps([role, str(folder), told]) + "\n")
            pipes[0].flush()
            return Member(int(pipes[1].readline()), process.pid, role, folder)

    try:
        yield start
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def main() -> None:
    """The zygote: one line in, one process out, each tied to it; it has one thread, and does not wait for its dead."""
    from support.faults import acts

    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    me = os.getpid()
    for line in sys.stdin:
        role, folder, told = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(me, acts.ROLES[role], role, Path(folder), told)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _live(zygote_pid: int, act: Callable[[], Any], role: str, folder: Path, told: Mapping[str, str]) -> NoReturn:
    """In the fork: become the role; never returns."""
    from flowzz.tether import tie_to

    tie_to(zygote_pid, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(folder / f"{role}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.update(told)
    code = 1
    try:
        act()
        (folder / f"{role}.done").touch()
        code = 0
    except BaseException:  # noqa: BLE001 - shown in the role's log, then the process ends
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()

"""The processes under measurement: producers, workers, their CPU time and memory, and the starts of their handlers."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from installing import HERE
from server import Server
from systems import System

TICKS = os.sysconf("SC_CLK_TCK")
STARTS_WITHIN_S, PRODUCES_WITHIN_S = 30, 600
ENTRY = struct.Struct("<ddd")
NOT_INHERITED = ("FLOWZZ_", "REDIS_", "DATABASE_URL", "CELERY_", "PYTHONDONTWRITEBYTECODE")
SHARED_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


class Failed(Exception):
    """A system did not do what it should; the text says what, and its last words."""


@dataclass(frozen=True)
class Start:
    """``sent_at`` (0: unknown) and ``at`` are seconds of CLOCK_MONOTONIC."""

    sent_at: float
    at: float
    worker: int


class Bench:
    """One system with a fresh server, its folder and the file in which its handlers note their starts.

    ``job`` is noop or io; ``environment`` goes to producers and workers.
    """

    def __init__(self, system: System, job: str = "noop", environment: Mapping[str, str] | None = None) -> None:
        self.system = system
        self.job = job
        self.concurrency = system.io_concurrency if job == "io" else system.concurrency
        self._more = environment or {}

    def __enter__(self) -> Self:
        self.server = Server()
        self._folder = tempfile.TemporaryDirectory(prefix="bench-home-")
        self._starts = tempfile.NamedTemporaryFile(prefix="bench-starts-", dir=SHARED_MEMORY)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)},
            "PYTHONPATH": str(HERE / "workload"),
            "PYTHONWARNINGS": "ignore",
            "BENCH_URL": self.server.url,
            "BENCH_JOB": self.system.job_names.get(self.job, self.job),
            "BENCH_CONCURRENCY": str(self.concurrency),
            "BENCH_STARTS": self._starts.name,
            "REDIS_URL": self.server.url,
            "FLOWZZ_HOME": self._folder.name,
            "FLOWZZ_CONCURRENCY": str(self.concurrency),
            **self.system.environment,
            **self._more,
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._starts.close()
        self.server.__exit__(kind, error, trace)
        self._folder.cleanup()

    def produce(self, mode: str, count: int, *more: str) -> float:
        """Enqueue ``count`` jobs; how many a second it were, of those after the first 200."""
        command = [*self.system.produce, mode, str(count), *more]
        done = subprocess.run(
            command,
            cwd=self.system.cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PRODUCES_WITHIN_S,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {_last_words(done.stderr)}")
        return 0.0 if mode == "beat" else float(json.loads(done.stdout.splitlines()[-1])["rate"])

    def handled(self) -> int:
        """How many handlers have started."""
        return Path(self._starts.name).stat().st_size // ENTRY.size

    def starts(self) -> list[Start]:
        data = Path(self._starts.name).read_bytes()
        return [Start(sent_at, at, int(worker)) for sent_at, at, worker in ENTRY.iter_unpack(data)]


class Workers:
    """``count`` worker processes of a system, each with what it forks. Killed on exit."""

    def __init__(self, bench: Bench, count: int = 1) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed on exit
        for number in range(count):
            filled = {"{concurrency}": str(bench.concurrency), "{worker}": str(number)}
            self._processes.append(
                subprocess.Popen(
                    [_filled(word, filled) for word in bench.system.work],
                    cwd=bench.system.cwd,
                    env={**bench.environment, "BENCH_WORKER": str(number)},
                    stdout=self._log,
                    stderr=self._log,
                )
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in list(self._pids()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # nothing to save: its server and its folder go too
        for process in self._processes:
            process.wait()
        self._log.close()

    def wait(self, ready: Callable[[], bool], within_s: float, *, pause_s: float, what: str) -> None:
        """Until ``ready``. Raises Failed when the time is over or a worker has ended."""
        deadline = time.monotonic() + within_s
        while not ready():
            ended = [process.poll() for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                state = f"a worker exited with {ended[0]}" if ended else f"not within {within_s:.0f} s"
                self._log.seek(0)
                raise Failed(f"{what}: {state}; {_last_words(self._log.read().decode(errors='replace'))}")
            time.sleep(pause_s)

    def cpu_s(self) -> float:
        """User and system time of the processes, their children and those that have ended."""
        return sum(sum(int(ticks) for ticks in _stat(pid)[11:15]) / TICKS for pid in self._pids())

    def running_s(self) -> float:
        """The same without what has ended, but exact to the nanosecond instead of the clock's tick."""
        threads = [thread for pid in self._pids() for thread in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((_read(f"{thread}/schedstat") or "0").split()[0]) for thread in threads) / 1e9

    def memory_mb(self) -> tuple[float, float]:
        """Resident at the peak (what processes share counts for each of them) and proportional now, in MB."""
        pids = list(self._pids())
        peak = sum(_kilobytes(f"/proc/{pid}/status", "VmHWM:") for pid in pids)
        proportional = sum(_kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids)
        return peak / 1024, proportional / 1024

    def _pids(self) -> Iterator[int]:
        todo = [process.pid for process in self._processes]
        while todo:
            pid = todo.pop()
            try:
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    todo += [int(child) for child in _read(f"{thread}/children").split()]
            except OSError:
                continue
            yield pid


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _last_words(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:])[-300:] or "it said nothing"


def _read(path: str) -> str:
    """'' when the process has ended."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _stat(pid: int) -> Sequence[str]:
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _kilobytes(path: str, name: str) -> int:
    return sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(name))

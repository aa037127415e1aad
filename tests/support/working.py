"""A worker in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowzz.app import Flowzz
from flowzz.workers import Worker


@contextmanager
def working(app: Flowzz, **options: Any) -> Iterator[Worker]:
    """A running worker; stopped, and its end awaited, after the block."""
    worker = Worker(app, **options)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


def noted(folder: Path, word: str) -> list[int]:
    """The pids whose handlers noted ``word`` in the folder."""
    log = folder / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split()[0]) for line in lines if line.split()[1] == word]

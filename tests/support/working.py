"""A worker in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
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

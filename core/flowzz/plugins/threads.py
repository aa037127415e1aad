"""Which threads this process has, to say which plugin started some while it was imported."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path


def threads() -> dict[int, str]:
    """Names by the system's id: Python's own, and where the system tells (Linux) those that libraries started."""
    found = {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}
    with suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            if int(task.name) not in found:
                with suppress(OSError):
                    found[int(task.name)] = (task / "comm").read_text(encoding="utf-8").strip()
    return found


def started_since(before: dict[int, str]) -> tuple[str, ...]:
    """Names of the threads that live now and did not then."""
    return tuple(sorted(name for number, name in threads().items() if number not in before))

"""How a worker process ends, and when it asks for another in its place."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

REPLACE_ME = 75
"""Exit code: nothing is wrong with what is in Redis, start another one in my place (EX_TEMPFAIL of sysexits.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a worker ends by itself; None means never.

    - ``max_jobs``: after so many executions it asks to be replaced.
    - ``max_memory``: with more resident bytes than this it asks to be replaced, looked at once a heartbeat.
    - ``burst``: it ends as soon as there is nothing that it may run.
    """

    max_jobs: int | None = None
    max_memory: int | None = None
    burst: bool = False


def resident_bytes() -> int:
    """Memory that this process has resident now; 0 where the system does not say (only Linux does)."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def leave(code: int) -> NoReturn:
    """End the process now. A handler's thread that never comes back would keep Python from ending by itself."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)

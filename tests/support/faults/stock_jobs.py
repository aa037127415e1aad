"""Jobs of plain RQ to put under fire, and the hour that must pass before its maintenance brings anything back."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import redis
import rq

from support.faults.sink import Sink

LONG_AGO_S = 3600


def effect(path: str, work_s: float = 0, how: str = "") -> None:
    """Runs for ``work_s``, has its effect, and ends as told."""
    job = rq.get_current_job()
    assert job is not None
    sink, execution = Sink(path), f"{job.id}-{time.monotonic_ns()}"
    with sink.running(job.id, execution, 1):
        _misbehave(how, Path(path).parent)
        _work(work_s, swallow=how == "swallow")
        sink.commit(job.id, job.id, execution)


def _misbehave(how: str, folder: Path) -> None:
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "exit-0":
            os._exit(0)
        case "poison":
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        case "grandchild":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
            (folder / "grandchild").write_text(str(child.pid))
        case "secret":
            raise ValueError("the key hunter2-hunter2 was refused " + "x" * 2_000_000)


def _work(seconds: float, *, swallow: bool) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(0.05)
        except Exception:
            if not swallow:
                raise


def let_time_pass(raw: redis.Redis, queues: Sequence[str]) -> None:
    """An hour: leases end, locks expire, what was first seen was seen long ago."""
    for queue in queues:
        wip = f"rq:wip:{queue}"
        for member in raw.zrange(wip, 0, -1):
            raw.zadd(wip, {member: 1})
    for key in raw.scan_iter("rq:*first_seen*"):
        raw.set(key, time.time() - LONG_AGO_S)
    for pattern in ("rq:clean_registries:*", "rq:*lock*"):
        for key in raw.scan_iter(pattern):
            raw.delete(key)

"""Roles in processes of their own, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

RUN = Path(__file__).with_name("run.py")
QUICK = {"FLOWZZ_LEASE": "2", "FLOWZZ_HEARTBEAT": "0.2", "FLOWZZ_SWEEP": "0.2", "FLOWZZ_SHUTDOWN_GRACE": "10"}


def environment(home: Path, redis_url: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a role: quick leases, its own home and Redis."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("FLOWZZ_", "REDIS_", "DATABASE_"))
    }
    return {**kept, **QUICK, "FLOWZZ_HOME": str(home), "REDIS_URL": redis_url, **(more or {})}


@contextmanager
def role(name: str, home: Path, redis_url: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """``worker`` or ``scheduler`` with the probe plugin; stopped, if need be killed, at the end."""
    process = subprocess.Popen([sys.executable, str(RUN), name], env=environment(home, redis_url, more))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def flowzz(home: Path, redis_url: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command as a person types it, with ``more`` in its environment; what it said, and its exit code."""
    run = environment(home, redis_url, more)
    called = [sys.executable, "-m", "flowzz.cli", *words]
    return subprocess.run(called, env=run, capture_output=True, text=True, timeout=120, check=False)

"""Runs one role with a plugin for tests in a process of its own: ``python run.py worker|scheduler``.

Settings come from the environment, as for the real commands; a scheduler may be told what time it is (seconds to add),
PROBE_CLOCK_OFF_S is how far this machine's clock is off, and
PROBE_PLUGIN=rough takes the plugin whose jobs behave badly. A role leaves a file with its process id in the folder
PROBE_READY once it takes signals, and has looked at the clock.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.scheduling import Scheduler
from flowzz.settings import Settings
from flowzz.workers import Worker
from flowzz.workers.ending import leave


def set_clocks(off_s: float) -> None:
    """As on a machine whose clock is so many seconds ahead; its monotonic clock runs as ever."""
    clock.machine_s = lambda: time.time() + off_s
    clock.now = lambda: datetime.fromtimestamp(clock.machine_s(), UTC)


def main() -> int:
    ahead = float(os.environ.get("PROBE_CLOCK_AHEAD_S", "0"))
    if ahead:
        clock.now = lambda: datetime.now(UTC) + timedelta(seconds=ahead)
    off = float(os.environ.get("PROBE_CLOCK_OFF_S", "0"))
    if off:
        set_clocks(off)
    settings = Settings.load()
    with Flowzz.open(
        settings, plugins=PluginHost.of([f"support.{os.environ.get('PROBE_PLUGIN', 'probe')}:plugin"])
    ) as app:
        role = Worker(app) if sys.argv[1] == "worker" else Scheduler(app)
        signal.signal(signal.SIGTERM, lambda *_: role.stop())
        if isinstance(role, Scheduler):
            role.run_due()
        if ready := os.environ.get("PROBE_READY"):
            Path(ready, str(os.getpid())).touch()
        return role.run()


if __name__ == "__main__":
    leave(main())

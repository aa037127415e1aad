"""A worker with everything as ``flowzz worker`` has it: logs to files, events, attempt records, heartbeats, sweeps."""

from tasks import opened

from flowzz import logs
from flowzz.settings import Settings
from flowzz.supervision.signals import stopping_by
from flowzz.workers import Worker

settings = Settings.load()
logs.configure(settings, "worker", console=True)
with opened(settings) as app:
    worker = Worker(app)
    with stopping_by(worker.stop):
        raise SystemExit(worker.run())

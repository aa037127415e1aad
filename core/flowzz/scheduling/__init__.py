"""Who fires schedules: any number of scheduler processes; one script decides which of them enqueues a tick."""

from flowzz.scheduling.scheduler import Scheduler

__all__ = ["Scheduler"]

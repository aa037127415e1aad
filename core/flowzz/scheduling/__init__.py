"""Who fires schedules: any number of scheduler processes; one script decides which of them enqueues a tick."""

from flowzz.scheduling.effective import Difference, EffectiveSchedule, ScheduleView
from flowzz.scheduling.scheduler import Scheduler
from flowzz.scheduling.schedules import Schedules

__all__ = ["Difference", "EffectiveSchedule", "ScheduleView", "Scheduler", "Schedules"]

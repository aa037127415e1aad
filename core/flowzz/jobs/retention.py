"""How long the finished jobs of one type stay, where that is not as long as the rest of their queue.

@job("report.generate", queue="reports", keep=Keep(completed_for=timedelta(days=30)))
@job("coinzz.sync", queue="sync", keep=Keep(completed=10))
@job("mail.send", queue="mail", keep=Keep(completed=0))        # gone as soon as it completed
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

LONGEST = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """A job type's own retention. What it says bounds this type alone; what it does not say does not bound it.

    - ``completed``: so many completed jobs of this type in a queue, the newest. 0: none, each goes at once.
    - ``completed_for``: for so long, at most a year.
    - ``failed``, ``failed_for``: the same for failed and canceled ones.

    Where neither count nor time is given, of completed or of failed ones, those stay as the settings say of the queue.
    ``keep_bytes`` of the settings bounds all; jobs with a retention of their own go last then.
    """

    completed: int | None = None
    completed_for: timedelta | None = None
    failed: int | None = None
    failed_for: timedelta | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with it, or None."""
        for name, count in (("completed", self.completed), ("failed", self.failed)):
            if count is not None and not (isinstance(count, int) and 0 <= count <= 10**6):
                return f"expected keep.{name} to be 0 to 1,000,000, got {count!r}"
        for name, time in (("completed_for", self.completed_for), ("failed_for", self.failed_for)):
            if time is not None and not timedelta(0) < time <= LONGEST:
                return f"expected keep.{name} to be more than 0 and at most {LONGEST.days} days, got {time}"
        return None

    def dump(self, job: str) -> str:
        """As the scripts read it (retain.lua); '' when it says nothing."""
        values = (self.completed, _seconds(self.completed_for), self.failed, _seconds(self.failed_for))
        if values == (None,) * 4:
            return ""
        return "|".join([job, *("" if value is None else str(value) for value in values)])


def _seconds(time: timedelta | None) -> int | None:
    return None if time is None else max(1, round(time.total_seconds()))

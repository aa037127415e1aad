"""One execution of a sync: where it stands, what every part of it does between two calls of Meta's."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import Any

from flowzz.errors import Throttled
from flowzz.jobs.context import JobContext
from flowzz_facebook.client import ACCOUNT_LIMIT, GraphClient
from flowzz_facebook.connection import FacebookConnection
from flowzz_facebook.cursor import Cursor

REPORT_EVERY_S = 1.0
LOGGED_PROBLEMS = 20
"""Problems of one page that get a line of their own in the job's log."""


class Run:
    """The shared part of the phases. ``cursor`` is what the last checkpoint says."""

    def __init__(self, ctx: JobContext, client: GraphClient, company_id: str, cursor: Cursor) -> None:
        self.ctx = ctx
        self.client = client
        self.company_id = company_id
        self.cursor = cursor
        self._told: set[str] = set()
        self._reported = float("-inf")

    @property
    def settings(self) -> FacebookConnection:
        return self.client.settings

    @property
    def account(self) -> str:
        return self.client.account

    def move(self, **changes: Any) -> None:
        """Go on to the cursor with these changes, and remember it. Raises LeaseLost."""
        self.cursor = replace(self.cursor, **changes)
        self.ctx.save_checkpoint(self.cursor.to_json())

    def before(self) -> None:
        """Before each call: is anybody asking us to stop, or is the account near its limit?

        Raises JobCanceled, LeaseLost, ReleaseJob, or Throttled, which leaves the account alone for a while.
        """
        self.ctx.raise_if_canceled()
        self.ctx.raise_if_stopping("the worker is stopping; the sync goes on where it stands")
        self._tell_notices()
        pause = self.client.usage.pause
        if pause is not None:
            raise Throttled(
                pause,
                f"ad account {self.account} has used {self.client.usage.percent:g} % of its allowance "
                f"({self.client.use_case}); going on in {pause.total_seconds():g} s",
                hold=ACCOUNT_LIMIT,
            )

    def log(self, message: str) -> None:
        self.ctx.log(message)

    def log_problems(self, where: str, problems: list[str]) -> None:
        for problem in problems[:LOGGED_PROBLEMS]:
            self.ctx.log(f"{where}, {problem}")
        if len(problems) > LOGGED_PROBLEMS:
            self.ctx.log(f"{where}: {len(problems) - LOGGED_PROBLEMS} more problems")

    def progress(self, percent: float, note: str) -> None:
        """At most once a second."""
        if monotonic() - self._reported >= REPORT_EVERY_S:
            self._reported = monotonic()
            self.ctx.progress(percent, note)

    def _tell_notices(self) -> None:
        for notice in [one for one in self.client.notices if one not in self._told]:
            self._told.add(notice)
            self.ctx.log(notice)

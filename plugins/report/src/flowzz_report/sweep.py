"""``report.sweep``: what is over is deleted, and what killed processes left behind is taken away. Hourly.

- A ready report whose time is over: first its file goes, then the row says expired. Run twice it finds nothing the
  second time; killed between the two it finds the row again.
- A row that runs for longer than any job may: failed. Its worker was killed in the last attempt.
- A file that no row names, and everything under ``.partial`` and in scratch, once it is older than any run: removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from flowzz.clock import now
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.payload import Payload, Result
from flowzz_report import records
from flowzz_report.configuration import ReportSettings
from flowzz_report.generate import QUEUE, TIMEOUT
from flowzz_report.storage import Storage

SWEEP_JOB = "report.sweep"
LEFT_BEHIND = TIMEOUT * 2
"""No run lasts so long: what is half done and older belongs to nobody any more."""

ROUND = 500


class Sweep(Payload):
    """Nothing to say."""


class Swept(Result):
    """How many files were deleted because their time was over, reports given up, and leftovers removed."""

    expired: int
    abandoned: int
    leftovers: int


@job(SWEEP_JOB, queue=QUEUE, timeout=timedelta(minutes=15), duplicates=Unique(by=()))
def sweep_reports(ctx: JobContext, data: Sweep) -> Swept:
    """Delete the files of reports whose time is over, and what killed runs left."""
    storage = Storage.of(ctx.settings, ReportSettings.load())
    expired = 0
    while due := records.due(ctx.store, now(), ROUND):
        for report in due:
            ctx.raise_if_canceled()
            if report.file is not None:
                storage.remove(report.file)
            records.expire(ctx.store, report)
        expired += len(due)
        ctx.progress(30, f"{expired} expired")
    before = now() - LEFT_BEHIND
    given_up = records.abandoned(ctx.store, before, ROUND)
    for report in given_up:
        records.fail(ctx.store, report, "its worker was lost while it ran; ask for it again")
    ctx.progress(60, "leftovers")
    leftovers = storage.remove_leftovers(before) + _orphans(ctx.store, storage, before)
    return Swept(expired=expired, abandoned=len(given_up), leftovers=leftovers)


def _orphans(store: StorePort, storage: Storage, before: datetime) -> int:
    """Files without a row. The rows are read after the files, so a file that gets its row meanwhile is not one."""
    found = [file.name for file in storage.names() if file.changed_at is not None and file.changed_at < before]
    known = records.files(store)
    orphans = [name for name in found if name not in known]
    for name in orphans:
        storage.remove(name)
    return len(orphans)


def one_sweep(_store: StorePort) -> Iterator[Sweep]:
    """One job a tick: the storage is everybody's."""
    yield Sweep()

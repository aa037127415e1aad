"""The job in its own process, by a real worker: killed, canceled and out of memory it leaves no half file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.records import JobRecord
from flowzz.settings import Settings
from flowzz_report.records import State, reports_of
from flowzz_report.sweep import SWEEP_JOB
from support import market
from support.market import order
from support.waiting import eventually
from support.working import working

ROWS = 30_000
PLUGINS = ["flowzz_report.plugin:plugin", "support.market:plugin"]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    quick = settings.model_copy(update={"heartbeat": 0.1, "sweep": 0.1, "shutdown_grace": 5, "kill_grace": 20})
    with Flowzz.open(quick, plugins=PluginHost.of(PLUGINS)) as opened:
        opened.store.migrate(opened.plugins.migrations)
        yield opened


@pytest.fixture
def company(app: Flowzz) -> str:
    made = app.store.add_company("Loja Exemplo").id
    market.stock(app.store, made, [order(number, f"2026-03-{1 + number % 31:02}") for number in range(ROWS)])
    return made


@pytest.fixture
def ask(app: Flowzz, company: str) -> Callable[..., str]:
    def enqueue(**wanted: Any) -> str:
        days = {"startDate": "2026-03-01", "endDate": "2026-03-31"}
        asked = {"empresaId": company, "reportType": "sales", "userId": "ana", "format": "xlsx", **days, **wanted}
        return app.enqueue("report.generate", asked)

    return enqueue


def final(app: Flowzz, job_id: str) -> JobRecord:
    return app.queues.wait(job_id, timedelta(seconds=90))


def left(app: Flowzz, folder: str = "reports") -> list[str]:
    root = app.settings.data_folder / folder
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def writer(app: Flowzz) -> int | None:
    """The process that has a file open in scratch: the one that writes a report."""
    scratch = str(app.settings.data_folder / "reports-scratch")
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            if any(str(link.readlink()).startswith(scratch) for link in (process / "fd").iterdir()):
                return int(process.name)
    return None


def test_killed_in_the_middle_it_runs_again_and_what_it_left_is_swept(
    app: Flowzz, company: str, ask: Callable[..., str]
) -> None:
    with working(app):
        job_id = ask()
        os.kill(eventually(lambda: writer(app), saying="nobody writes"), signal.SIGKILL)
        record = final(app, job_id)
    assert record.state is JobState.COMPLETED, record.error
    assert record.attempts_made == 2
    (report,) = reports_of(app.store, company)
    assert report.state is State.READY
    assert left(app) == [report.file]
    assert left(app, "reports-scratch") != []

    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
        swept = app.plugins.job(SWEEP_JOB)
        app.store.ping()
        result = swept.handler(_context(app), swept.payload_model())
    assert result.leftovers == 1
    assert left(app, "reports-scratch") == []
    assert left(app) == [report.file]


def _context(app: Flowzz) -> Any:
    from flowzz.jobs.context import JobContext

    class Silent:
        cancel_requested = lease_lost = stop_requested = False

        def report(self, **_: Any) -> None: ...

    return JobContext("s", SWEEP_JOB, "report", None, 1, 1, "test", app.store, app, Silent())  # type: ignore[arg-type]


def test_killed_in_each_attempt_it_fails_and_has_no_file(app: Flowzz, company: str, ask: Callable[..., str]) -> None:
    with working(app):
        job_id = ask()
        killed: set[int] = set()
        while len(killed) < 3:
            pid = eventually(lambda: writer(app), saying="nobody writes")
            if pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        record = final(app, job_id)
    assert record.state is JobState.FAILED
    assert "SIGKILL" in str(record.error)
    assert left(app) == []


def test_canceled_in_the_middle_it_leaves_nothing(app: Flowzz, company: str, ask: Callable[..., str]) -> None:
    with working(app):
        job_id = ask()
        eventually(lambda: writer(app), saying="nobody writes")
        app.queues.cancel(job_id)
        record = final(app, job_id)
    assert record.state is JobState.CANCELED
    assert left(app) == left(app, "reports-scratch") == []
    (report,) = reports_of(app.store, company)
    assert report.state is State.FAILED


@pytest.mark.parametrize("form", ["pdf", "xlsx", "csv"])
def test_every_format_is_made_within_its_memory(app: Flowzz, ask: Callable[..., str], form: str) -> None:
    with working(app):
        record = final(app, ask(format=form, filters={"uf": ["SP"], "amount": {"min": 1}}))
    assert record.state is JobState.COMPLETED, record.error
    assert set(record.result) == {"reportId", "fileUrl", "generatedAt"}
    assert len(left(app)) == 1
    assert left(app, "reports-scratch") == []


def test_a_company_that_is_not_there_fails_without_a_retry(app: Flowzz, ask: Callable[..., str]) -> None:
    with working(app):
        record = final(app, ask(empresaId="nobody"))
    assert record.state is JobState.FAILED
    assert record.attempts_made == 1
    assert "no company has the id 'nobody'" in str(record.error)

"""``async def`` handlers on the worker's loop: many in flight, canceled and timed out as tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.records import JobRecord
from flowzz.settings import Settings
from support.waiting import eventually
from support.working import noted, working

MANY = 30


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    quick = settings.model_copy(update={"heartbeat": 0.1, "sweep": 0.1, "shutdown_grace": 5})
    with Flowzz.open(quick, plugins=PluginHost.of(["support.rough:plugin"])) as opened:
        opened.store.migrate()
        yield opened


def test_many_are_in_flight_on_one_thread_and_concurrency_counts_them(
    app: Flowzz, tmp_path: Path, final: Callable[[str], JobRecord]
) -> None:
    with working(app, concurrency=MANY):
        ids = [app.enqueue("rough.aio", {"folder": str(tmp_path)}) for _ in range(MANY + 1)]
        eventually(lambda: len(noted(tmp_path, "aio")) == MANY)
        stats = app.queues.stats(["rough"])[0]
        assert (stats.active, stats.waiting) == (MANY, 1)
        (tmp_path / "go").touch()
        assert {final(job_id).state for job_id in ids} == {JobState.COMPLETED}
    threads = {line.split()[2] for line in (tmp_path / "log").read_text().splitlines()}
    assert threads == {"flowzz-event-loop"}


@pytest.mark.parametrize(("how", "error"), [("raise", "ValueError: broken"), ("exit", "SystemExit: 3")])
def test_what_it_raises_is_its_outcome_and_the_loop_goes_on(
    app: Flowzz, tmp_path: Path, final: Callable[[str], JobRecord], how: str, error: str
) -> None:
    (tmp_path / "go").touch()
    with working(app):
        failed = final(app.enqueue("rough.aio", {"folder": str(tmp_path), "how": how}))
        assert failed.state is JobState.FAILED
        assert failed.error is not None
        assert f"{failed.error.type}: {failed.error.message}" == error
        assert final(app.enqueue("rough.aio", {"folder": str(tmp_path)})).state is JobState.COMPLETED


def test_it_reports_from_a_thread(app: Flowzz, tmp_path: Path, final: Callable[[str], JobRecord]) -> None:
    (tmp_path / "go").touch()
    with working(app):
        done = final(app.enqueue("rough.aio", {"folder": str(tmp_path), "how": "report"}))
    assert done.progress is not None
    assert (done.progress.percent, done.progress.note) == (40, "page 4/10")


def test_its_task_is_canceled_with_its_job(app: Flowzz, tmp_path: Path, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        job_id = app.enqueue("rough.aio", {"folder": str(tmp_path)})
        eventually(lambda: noted(tmp_path, "aio"))
        app.queues.cancel(job_id, "wrong company")
        assert final(job_id).state is JobState.CANCELED


def test_its_task_is_canceled_at_its_timeout(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        late = final(app.enqueue("rough.aio_late", {}))
    assert late.state is JobState.FAILED
    assert late.error is not None
    assert f"{late.error.type}: {late.error.message}" == "JobTimeout: ran longer than its timeout of 0.2 s"


def test_a_stop_hands_back_what_does_not_finish(app: Flowzz, tmp_path: Path) -> None:
    hasty = Flowzz(app.settings.model_copy(update={"shutdown_grace": 0.05}), app.plugins, app.store, app.queues)
    with working(hasty):
        job_id = app.enqueue("rough.aio", {"folder": str(tmp_path)})
        eventually(lambda: noted(tmp_path, "aio"))
    job = app.queues.job(job_id)
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)


def test_it_may_have_a_process_of_its_own(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        done = final(app.enqueue("rough.aio_apart", {}))
    assert done.state is JobState.COMPLETED
    assert done.result["pid"] != os.getpid()

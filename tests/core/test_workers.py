"""A worker in this process, with a real Valkey: what happens to jobs that succeed, fail, wait and are handed back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.errors import DuplicateJob, InvalidPayload, PayloadTooLarge, UnknownJob
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.records import JobRecord
from flowzz.workers import Worker
from flowzz.workers.worker import POLL_S
from support.waiting import eventually


@contextmanager
def working(app: Flowzz, **options: Any) -> Iterator[Worker]:
    worker = Worker(app, **options)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(worker.run()))
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_a_job_runs_and_its_result_is_there(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        job = final(app.enqueue("probe.work", {"empresaId": "loja-1"}))
    assert (job.state, job.result, job.company_id) == (JobState.COMPLETED, {"pages": 0, "attempt": 1}, "loja-1")
    assert [line.message for line in app.queues.log(job.id)] == ["attempt 1"]


def test_a_failing_job_is_retried_with_backoff_until_it_succeeds(
    app: Flowzz, final: Callable[[str], JobRecord]
) -> None:
    with working(app):
        job = final(app.enqueue("probe.work", {"failUntil": 2}))
    assert (job.state, job.attempts_made) == (JobState.COMPLETED, 3)
    attempts = app.queues.attempts(job.id)
    assert [a.outcome for a in attempts] == ["retrying", "retrying", "completed"]
    assert attempts[0].error is not None
    assert attempts[0].error.message == "broken on attempt 1"
    assert attempts[1].started_at is not None
    assert attempts[1].started_at - attempts[0].ended_at >= timedelta(milliseconds=19)


def test_every_attempt_is_kept_with_its_worker_times_error_and_log(
    app: Flowzz, final: Callable[[str], JobRecord]
) -> None:
    with working(app, name="first"):
        job = final(app.enqueue("probe.work", {"failUntil": 1}, EnqueueOptions(attempts=1)))
    before = app.queues.attempts(job.id)
    app.queues.retry(job.id)
    with working(app, name="second"):
        final(job.id)
    attempts = app.queues.attempts(job.id)
    assert [(a.attempt, a.outcome, a.worker) for a in attempts] == [(1, "failed", "first"), (1, "failed", "second")]
    assert attempts[: len(before)] == before, "a record never changes"
    assert all(a.started_at and a.started_at <= a.ended_at for a in attempts)
    assert [a.error and (a.error.type, a.error.message) for a in attempts] == [
        ("ValueError", "broken on attempt 1")
    ] * 2
    assert all(a.error and "Traceback" in a.error.traceback for a in attempts)
    assert [line.message for line in app.queues.log(job.id)] == ["attempt 1", "attempt 1"]


def test_a_report_after_the_timeout_raises_and_costs_an_attempt(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    with working(app) as worker:
        job = final(app.enqueue("probe.slow", {}))
        assert final(app.enqueue("probe.work", {})).state is JobState.COMPLETED, "its worker goes on"
    assert (job.state, job.attempts_made, app.queues.attempts(job.id)[0].worker) == (JobState.FAILED, 1, worker.name)
    assert job.error is not None
    assert f"{job.error.type}: {job.error.message}" == "JobTimeout: ran longer than its timeout of 0.1 s"


def test_a_worker_runs_no_more_at_a_time_than_its_concurrency(
    app: Flowzz, tmp_path: Path, final: Callable[[str], JobRecord]
) -> None:
    ids = [app.enqueue("probe.block", {"folder": str(tmp_path)}) for _ in range(5)]
    with working(app, concurrency=2):
        eventually(lambda: app.queues.stats(["probe"])[0].active == 2)
        later = now() + timedelta(seconds=POLL_S + 0.2)  # a third would be claimed at the next look
        eventually(lambda: (app.queues.workers()[0].last_heartbeat or now()) > later)
        (stats,) = app.queues.stats(["probe"])
        assert (stats.active, stats.waiting) == (2, 3)
        (tmp_path / "go").touch()
        assert {final(job_id).state for job_id in ids} == {JobState.COMPLETED}


def test_a_job_that_uses_up_its_attempts_fails_with_its_traceback(
    app: Flowzz, final: Callable[[str], JobRecord]
) -> None:
    with working(app):
        job = final(app.enqueue("probe.work", {"failUntil": 9}))
    assert (job.state, job.attempts_made) == (JobState.FAILED, 3)
    assert job.error is not None
    assert "ValueError: broken on attempt 3" in job.error.traceback


@pytest.mark.parametrize(
    ("raises", "outcomes", "state"),
    [
        ("permanent", ["failed"], JobState.FAILED),
        ("throttled", ["postponed", "completed"], JobState.COMPLETED),
        ("later", ["retrying", "retrying", "failed"], JobState.FAILED),
        ("exit", ["retrying", "retrying", "failed"], JobState.FAILED),
        ("weird-result", ["retrying", "retrying", "failed"], JobState.FAILED),
        ("nan", ["retrying", "retrying", "failed"], JobState.FAILED),
        ("surrogate", ["retrying", "retrying", "failed"], JobState.FAILED),
        ("mute", ["retrying", "retrying", "failed"], JobState.FAILED),
        ("timeless", ["failed"], JobState.FAILED),
        ("snooze-surrogate", ["postponed", "completed"], JobState.COMPLETED),
        ("canceled-surrogate", ["canceled"], JobState.CANCELED),
        ("log-surrogate", ["completed"], JobState.COMPLETED),
    ],
)
def test_what_a_handler_raises_decides_what_happens_next(
    app: Flowzz, final: Callable[[str], JobRecord], raises: str, outcomes: list[str], state: JobState
) -> None:
    with working(app):
        job = final(app.enqueue("probe.work", {"raises": raises}))
    assert job.state is state
    assert [a.outcome for a in app.queues.attempts(job.id)] == outcomes
    assert job.attempts_made == sum(outcome not in ("postponed", "canceled") for outcome in outcomes)


def test_more_attempts_may_be_asked_for_than_the_policy_has(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        job = final(app.enqueue("probe.work", {"failUntil": 4}, EnqueueOptions(attempts=5)))
    assert (job.state, job.attempts_made, job.max_attempts) == (JobState.COMPLETED, 5, 5)


def test_a_refusal_of_credentials_that_were_renewed_meanwhile_is_tried_again(app: Flowzz, tmp_path: Path) -> None:
    company = app.store.add_company("Loja")
    connection, _ = app.store.add_connection(company.id, "probe", "main", {}, {})
    payload = {"folder": str(tmp_path), "raises": "credentials-later", "empresaId": connection.id}
    with working(app):
        job_id = app.enqueue("probe.work", payload)
        eventually(lambda: app.queues.log(job_id))
        app.store.update_connection(connection.id, secrets={"token": SecretStr("new")})
        (tmp_path / "go").touch()
        eventually(lambda: app.queues.attempts(job_id))
    assert app.queues.attempts(job_id)[0].outcome == "retrying"


def test_a_delayed_job_runs_when_it_is_due(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        job_id = app.enqueue("probe.work", {}, EnqueueOptions(delay=timedelta(milliseconds=300)))
        job = final(job_id)
    assert job.started_at is not None
    waited = job.started_at - job.created_at
    assert timedelta(milliseconds=299) <= waited < timedelta(seconds=5)


def test_jobs_of_a_missing_plugin_park_and_run_when_it_is_back(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    job_id = app.enqueue("probe.work", {})
    without = Flowzz(app.settings, PluginHost.of([]), app.store, app.queues)
    with working(without, queues=["probe"]):
        eventually(lambda: app.queues.job(job_id).state is JobState.PARKED)
    assert app.queues.job(job_id).note == "no plugin registers probe.work; install flowzz-probe"
    assert app.queues.stats(["probe"])[0].parked == 1
    with working(app):
        assert final(job_id).state is JobState.COMPLETED


def test_a_job_that_a_worker_without_its_plugin_parks_goes_to_one_that_has_it_already(
    app: Flowzz, final: Callable[[str], JobRecord], tmp_path: Path
) -> None:
    """As in a deployment: while old workers still claim, new ones have started already."""
    old = Flowzz(app.settings, PluginHost.of([]), app.store, app.queues)
    with working(app, concurrency=1):
        busy = app.enqueue("probe.block", {"folder": str(tmp_path)})
        eventually(lambda: app.queues.job(busy).state is JobState.ACTIVE)
        with working(old, queues=["probe"]):
            job_id = app.enqueue("probe.work", {})
            eventually(lambda: any(attempt.outcome == "parked" for attempt in app.queues.attempts(job_id)))
        (tmp_path / "go").touch()
        assert final(job_id).state is JobState.COMPLETED


def test_stop_lets_active_jobs_finish(app: Flowzz, tmp_path: Path) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    waiting = app.enqueue("probe.work", {})
    worker = Worker(app, concurrency=1)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(worker.run()))
    thread.start()
    eventually(lambda: app.queues.job(job_id).state is JobState.ACTIVE)
    worker.stop()
    (tmp_path / "go").touch()
    thread.join(20)
    assert codes == [0]
    assert app.queues.job(job_id).state is JobState.COMPLETED
    assert app.queues.job(waiting).state is JobState.WAITING
    assert app.queues.workers() == []


def test_past_the_grace_unfinished_jobs_go_back_without_using_an_attempt(app: Flowzz, tmp_path: Path) -> None:
    hasty = Flowzz(app.settings.model_copy(update={"shutdown_grace": 0.05}), app.plugins, app.store, app.queues)
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    worker = Worker(hasty)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(worker.run()))
    thread.start()
    eventually(lambda: app.queues.job(job_id).state is JobState.ACTIVE)
    worker.stop()
    thread.join(20)
    assert codes == [1]
    job = app.queues.job(job_id)
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)
    assert [a.outcome for a in app.queues.attempts(job_id)] == ["released"]
    (tmp_path / "go").touch()


def test_a_running_job_can_be_canceled(app: Flowzz, tmp_path: Path, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
        eventually(lambda: app.queues.job(job_id).state is JobState.ACTIVE)
        app.queues.cancel(job_id, "wrong company")
        assert final(job_id).state is JobState.CANCELED


def test_many_jobs_all_run_once(app: Flowzz, tmp_path: Path) -> None:
    ids = [app.enqueue("probe.work", {"folder": str(tmp_path)}) for _ in range(300)]
    keep = app.settings.model_copy(update={"keep_completed": 1000})
    with working(Flowzz(keep, app.plugins, app.store, app.queues), concurrency=8):
        eventually(lambda: app.queues.stats(["probe"])[0].completed == len(ids))
    assert len((tmp_path / "log").read_text().splitlines()) == len(ids)


def test_what_cannot_be_enqueued_says_why_and_stores_nothing(app: Flowzz) -> None:
    with pytest.raises(UnknownJob, match=r"did you mean 'probe\.work'"):
        app.enqueue("probe.wrk", {})
    with pytest.raises(InvalidPayload) as refused:
        app.enqueue("probe.work", {"failUntil": "many", "surprise": 1})
    assert {problem["field"] for problem in refused.value.problems} == {"failUntil", "surprise"}
    with pytest.raises(PayloadTooLarge):
        app.enqueue("probe.work", {"folder": "x" * 300_000})
    with pytest.raises(InvalidPayload, match="cannot be written as JSON"):
        app.enqueue("probe.work", {"share": float("inf")})
    app.enqueue("probe.work", {}, EnqueueOptions(job_id="mine"))
    with pytest.raises(DuplicateJob):
        app.enqueue("probe.work", {}, EnqueueOptions(job_id="mine"))
    assert app.queues.stats(["probe"])[0].waiting == 1

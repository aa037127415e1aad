"""Jobs of a connection that is paused or was refused wait, unharmed, and run when it is active again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.state import JobState
from flowzz.queues.records import JobRecord
from flowzz.workers import Worker
from support.waiting import eventually
from support.working import working


@pytest.fixture
def connection(app: Flowzz) -> Connection:
    return app.store.add_connection(app.store.add_company("Loja").id, "probe", "main", {}, {})[0]


@pytest.fixture
def worker(app: Flowzz) -> Iterator[Worker]:
    with working(app) as running:
        yield running


def refused(app: Flowzz, connection: Connection) -> str:
    job_id = app.enqueue("probe.work", {"raises": "credentials-once", "empresaId": connection.company_id})
    eventually(lambda: app.queues.job(job_id).state is JobState.DELAYED)
    return job_id


def test_refused_credentials_pause_the_connection_and_the_job_waits_with_its_checkpoint(
    app: Flowzz, connection: Connection, worker: Worker
) -> None:
    job = app.queues.job(refused(app, connection))
    assert (job.attempts_made, job.checkpoint) == (0, {"page": 7})
    paused = app.store.connection_by_id(connection.id)
    assert (paused.state.value, paused.state_reason) == ("needs_credentials", "401 from upstream")
    assert paused.state_since is not None
    assert connection.state_since is not None
    assert paused.state_since > connection.state_since
    told = app.queues.explain(job.id)
    assert f"waits for connection {connection.id}: 401 from upstream" in told.sentence


@pytest.mark.parametrize("way", ["new credentials", "resumed", "removed"])
def test_it_runs_again_whatever_ends_the_wait(
    app: Flowzz, connection: Connection, worker: Worker, final: Callable[[str], JobRecord], way: str
) -> None:
    job_id = refused(app, connection)
    match way:
        case "new credentials":
            app.store.update_connection(connection.id, secrets={"token": SecretStr("new")})
        case "resumed":
            app.store.set_connection_state(connection.id, ConnectionState.ACTIVE, None)
        case "removed":
            app.store.remove_connection(connection.id)
    done = final(job_id)
    assert (done.state, done.attempts_made) == (JobState.COMPLETED, 1)
    assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["postponed", "completed"]
    assert app.queues.connections_waited_for() == []


def test_other_jobs_of_the_company_wait_too_and_other_companies_do_not(
    app: Flowzz, connection: Connection, worker: Worker, final: Callable[[str], JobRecord]
) -> None:
    refused(app, connection)
    other = app.store.add_connection(app.store.add_company("Outra").id, "probe", "main", {}, {})[0]
    payload = {"raises": "connected", "empresaId": connection.company_id}
    waiting = [app.enqueue("probe.work", payload) for _ in range(3)]
    assert final(app.enqueue("probe.work", {**payload, "empresaId": other.company_id})).state is JobState.COMPLETED
    eventually(lambda: all(app.queues.job(job_id).state is JobState.DELAYED for job_id in waiting))
    app.store.update_connection(connection.id, secrets={"token": SecretStr("new")})
    assert {final(job_id).state for job_id in waiting} == {JobState.COMPLETED}
    assert app.store.connection_by_id(other.id).succeeded_at is not None


def test_a_job_that_somebody_moved_meanwhile_is_left_alone(app: Flowzz, connection: Connection, worker: Worker) -> None:
    job_id = refused(app, connection)
    app.queues.cancel(job_id, "not needed")
    assert app.queues.release_connection(connection.id) == 0
    assert app.queues.job(job_id).state is JobState.CANCELED


def test_one_that_said_so_and_still_runs_is_not_forgotten(
    app: Flowzz, connection: Connection, worker: Worker, final: Callable[[str], JobRecord], tmp_path: Path
) -> None:
    """The connection is active again between what the job says and its settle."""
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path), "empresaId": connection.company_id})
    eventually(lambda: app.queues.job(job_id).state is JobState.ACTIVE)
    app.queues.wait_for_connection(connection.id, job_id)
    assert app.queues.release_connection(connection.id) == 0
    assert app.queues.connections_waited_for() == [connection.id]
    (tmp_path / "go").touch()
    assert final(job_id).state is JobState.COMPLETED
    eventually(lambda: app.queues.connections_waited_for() == [])


def test_a_company_without_a_connection_is_told_how_to_add_one(
    app: Flowzz, worker: Worker, final: Callable[[str], JobRecord]
) -> None:
    failed = final(app.enqueue("probe.work", {"raises": "connected", "empresaId": "nobody"}))
    assert failed.error is not None
    assert "flowzz connections add --plugin probe --company nobody" in failed.error.message

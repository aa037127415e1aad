"""``rq suspend`` and ``rq resume``; the commands that RQ sends to a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import redis
from rq.command import send_command, send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.serializers import JSONSerializer

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.queues.explain import Reason
from rq_contract.conftest import Work
from support.processes import role
from support.waiting import eventually

SOON = timedelta(seconds=90)


def listens(raw: redis.Redis, name: str) -> bool:
    return bool(raw.pubsub_numsub(f"rq:pubsub:{name}")[0][1])


def running(app: Flowzz, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    job_id = app.enqueue("probe.block", {"folder": str(folder)})
    eventually(lambda: (folder / "log").exists(), saying="it runs")
    return job_id


def test_a_suspended_worker_claims_nothing_until_it_is_resumed(
    app: Flowzz, working: Work, rq: Callable[..., str], tmp_path: Path
) -> None:
    with working():
        active = running(app, tmp_path)
        rq("suspend")
        waiting = app.enqueue("probe.work", {})
        assert app.queues.explain(waiting).reason is Reason.SUSPENDED
        (tmp_path / "go").touch()
        assert app.queues.wait(active, SOON).state is JobState.COMPLETED
        assert app.queues.wait(waiting, timedelta(seconds=1.5)).state is JobState.WAITING
        rq("resume")
        assert app.queues.wait(waiting, SOON).state is JobState.COMPLETED


def test_a_suspension_with_a_duration_ends_by_itself(app: Flowzz, working: Work, rq: Callable[..., str]) -> None:
    rq("suspend", "--duration", "1")
    with working():
        assert app.queues.wait(app.enqueue("probe.work", {}), SOON).state is JobState.COMPLETED


def test_stop_job_cancels_that_job_and_no_other(app: Flowzz, working: Work, raw: redis.Redis, tmp_path: Path) -> None:
    with working() as worker:
        eventually(lambda: listens(raw, worker.name), saying="the worker listens")
        stopped, other = running(app, tmp_path / "one"), running(app, tmp_path / "two")
        send_stop_job_command(raw, stopped, serializer=JSONSerializer)
        assert app.queues.wait(stopped, SOON).state is JobState.CANCELED
        assert app.queues.job(other).state is JobState.ACTIVE
        (tmp_path / "two" / "go").touch()
        assert app.queues.wait(other, SOON).state is JobState.COMPLETED


def test_stop_execution_cancels_the_execution_it_names(
    app: Flowzz, working: Work, raw: redis.Redis, tmp_path: Path
) -> None:
    with working() as worker:
        eventually(lambda: listens(raw, worker.name), saying="the worker listens")
        job_id = running(app, tmp_path)
        execution = (raw.hget(f"rq:job:{job_id}", "flowzz_execution") or b"").decode()
        send_command(raw, worker.name, "stop-execution", job_id=job_id, execution_id="another")
        send_command(raw, worker.name, "stop-execution", job_id=job_id, execution_id=execution)
        assert app.queues.wait(job_id, SOON).state is JobState.CANCELED


def test_shutdown_lets_active_jobs_finish_and_the_process_exits_0(
    app: Flowzz, home: Path, redis_url: str, raw: redis.Redis, tmp_path: Path
) -> None:
    with role("worker", home, redis_url) as process:
        job_id = running(app, tmp_path)
        name = app.queues.job(job_id).worker or ""
        eventually(lambda: listens(raw, name), saying="the worker listens")
        send_shutdown_command(raw, name)
        eventually(lambda: app.queues.workers()[0].state == "stopping", saying="it stops")
        (tmp_path / "go").touch()
        assert process.wait(90) == 0
    assert app.queues.job(job_id).state is JobState.COMPLETED


def test_senseless_commands_and_a_lost_link_leave_the_worker_listening(
    app: Flowzz, working: Work, raw: redis.Redis, tmp_path: Path
) -> None:
    with working() as worker:
        eventually(lambda: listens(raw, worker.name), saying="the worker listens")
        channel = f"rq:pubsub:{worker.name}"
        for senseless in (b"\xff\xfe", "not json", "[]", "{}", json.dumps({"command": 7}), "[" * 10_000):
            raw.publish(channel, senseless)
        send_kill_horse_command(raw, worker.name)
        send_command(raw, worker.name, "stop-job", job_id="nobody")
        raw.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: listens(raw, worker.name), saying="it listens again")
        job_id = running(app, tmp_path)
        send_stop_job_command(raw, job_id, serializer=JSONSerializer)
        assert app.queues.wait(job_id, SOON).state is JobState.CANCELED

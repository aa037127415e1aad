"""What plain RQ, in a process of its own, sees of the jobs that a worker of ours runs, and how it stops one of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.command import send_stop_execution_command
from rq.exceptions import InvalidJobOperation

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from rq_contract.conftest import Fetch, Work
from rq_contract.test_commands import SOON, listens, running
from support.engine import completed, new_job, step
from support.waiting import eventually

LOOK = """
import json, sys, redis
from rq.serializers import JSONSerializer
from rq.worker import Worker
seen = {}
for worker in Worker.all(connection=redis.Redis.from_url(sys.argv[1]), serializer=JSONSerializer):
    job = worker.get_current_job()
    seen[worker.name] = {
        "found": Worker.find_by_key(worker.key, connection=worker.connection).name,
        "state": worker.get_state(), "job": job and job.id, "count": worker.current_execution_count,
        "executions": sorted([e.job_id, e.id, e.created_at.timestamp()] for e in worker.get_current_executions()),
        "ip": worker.ip_address, "worked": worker.total_working_time,
        "jobs": [worker.successful_job_count, worker.failed_job_count],
    }
print(json.dumps(seen))
"""
STOP = """
import sys, redis
from rq.command import send_stop_execution_command
send_stop_execution_command(redis.Redis.from_url(sys.argv[1]), job_id=sys.argv[2], execution_id=sys.argv[3])
"""


def rq_does(code: str, *words: str) -> str:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def look(redis_url: str) -> dict[str, dict[str, Any]]:
    """What RQ says of each worker."""
    seen: dict[str, dict[str, Any]] = json.loads(rq_does(LOOK, redis_url))
    return seen


def beat(queues: Queues, *executions: tuple[str, str, str, float], worker: str = "w1") -> list[int]:
    fields = {"hostname": "host", "pid": 7, "queues": "sync", "state": "busy"}
    return queues.transitions.renew(
        worker, lease_ms=30_000, ttl_s=60, fields=fields, queues=["sync"], executions=executions
    )


def test_rq_sees_what_ran_at_the_last_heartbeat(queues: Queues, raw: redis.Redis, redis_url: str) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    claims = {claim.job_id: claim for claim in step(queues, worker="w1").claims}
    held = [("sync", claim.job_id, claim.execution_id, claim.started_at) for claim in claims.values()]
    assert beat(queues, *held) == [1, 1]
    seen = look(redis_url)["w1"]
    assert (seen["found"], seen["state"], seen["count"]) == ("w1", "busy", 2)
    assert [entry[:2] for entry in seen["executions"]] == [
        ["a", claims["a"].execution_id],
        ["b", claims["b"].execution_id],
    ]
    assert seen["executions"][0][2] == pytest.approx(claims["a"].started_at, abs=0.001)
    assert seen["job"] in {"a", "b"}
    step(queues, completed(claims["a"]), want=0)
    assert beat(queues, held[0], held[1]) == [0, 1]
    seen = look(redis_url)["w1"]
    assert (seen["job"], seen["count"], seen["jobs"]) == ("b", 1, [1, 0])
    assert not raw.exists(keys.EXECUTION(f"a:{claims['a'].execution_id}"))
    queues.transitions.deregister("w1", ["sync"])
    assert not list(raw.scan_iter("rq:execution*")) + list(raw.scan_iter("*:executions"))


def test_executions_of_a_lost_worker_go_with_its_lease(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues, worker="w1").claims
    beat(queues, ("sync", "a", claim.execution_id, claim.started_at))
    assert 0 < raw.pttl(keys.EXECUTION(f"a:{claim.execution_id}")) <= 30_000
    assert 0 < raw.ttl(keys.EXECUTIONS("w1")) <= 60


@pytest.mark.parametrize("deed", ["cancel", "delete"])
def test_rq_ends_a_running_job_without_taking_its_lease_away(queues: Queues, fetch: Fetch, deed: str) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues, worker="w1").claims
    held = ("sync", "a", claim.execution_id, claim.started_at)
    beat(queues, held)
    job = fetch("a")
    assert job.get_executions() == []
    getattr(job, deed)()
    assert beat(queues, held) == [2]
    assert step(queues, completed(claim), want=0).verdicts == [1 if deed == "cancel" else 2]


def test_stop_execution_stops_a_job_that_runs_longer_than_a_heartbeat(
    app: Flowzz, working: Work, raw: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    with working() as worker:
        eventually(lambda: listens(raw, worker.name), saying="the worker listens")
        job_id = running(app, tmp_path)
        eventually(lambda: raw.scard(keys.EXECUTIONS(worker.name)), saying="it saw a heartbeat")
        ((found, execution, _),) = look(redis_url)[worker.name]["executions"]
        assert found == job_id
        rq_does(STOP, redis_url, job_id, execution)
        assert app.queues.wait(job_id, SOON).state is JobState.CANCELED
        eventually(lambda: raw.scard(keys.EXECUTIONS(worker.name)) == 0)
        with pytest.raises(InvalidJobOperation):
            send_stop_execution_command(raw, job_id, execution)


def test_a_worker_says_where_it_is_and_how_long_it_worked(
    app: Flowzz, working: Work, redis_url: str, tmp_path: Path
) -> None:
    with working() as worker:
        job_id = running(app, tmp_path)
        (tmp_path / "go").touch()
        app.queues.wait(job_id, SOON)
        took = app.queues.attempts(job_id)[0]
        seen = eventually(lambda: (one := look(redis_url)[worker.name])["worked"] and one)
        assert took.started_at is not None
        assert seen["worked"] == pytest.approx((took.ended_at - took.started_at).total_seconds(), abs=0.05)
        assert seen["jobs"] == [1, 0]
        host, _, port = seen["ip"].rpartition(":")
        assert host == "127.0.0.1"
        assert port.isdigit()

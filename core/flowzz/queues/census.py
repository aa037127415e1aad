"""Counts of queues and the list of workers, read without changing anything; rq's own counters clean up as they go."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError

from flowzz.clock import from_rq, now
from flowzz.queues import keys
from flowzz.queues.connection import redis_errors
from flowzz.queues.pauses import in_force
from flowzz.queues.records import QueueStats, WorkerInfo


def queue_names(client: Any) -> list[str]:
    """Every queue that RQ has registered, in order."""
    with redis_errors():
        members = client.smembers(keys.QUEUES())
    prefix = keys.QUEUE.prefix
    names = (member.decode(errors="replace") for member in members)
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def read_stats(client: Any, names: Sequence[str]) -> list[QueueStats]:
    """One QueueStats a name, in two round trips; a queue whose keys cannot be read says so in ``problem``."""
    with redis_errors():
        pipeline = client.pipeline(transaction=False)
        for name in names:
            _ask(pipeline, name)
        answers = pipeline.execute(raise_on_error=False)
        asked = [answers[i * ASKED : (i + 1) * ASKED] for i in range(len(names))]
        ages = _oldest(client, asked)
        live = _live_workers(client, asked)
    return [_stats(name, row, age, workers) for name, row, age, workers in zip(names, asked, ages, live, strict=True)]


ASKED = 12
SILENT = b"silent"


def _ask(pipeline: Any, name: str) -> None:
    pipeline.llen(keys.QUEUE(name))
    pipeline.zcard(keys.WIP(name))
    for key in (keys.FINISHED, keys.FAILED, keys.SCHEDULED, keys.PARKED, keys.CANCELED):
        pipeline.zcard(key(name))
    pipeline.hget(keys.PAUSED(), f"queue:{name}")
    pipeline.lindex(keys.QUEUE(name), 0)
    pipeline.zrange(keys.SCHEDULED(name), 0, 0, withscores=True)
    pipeline.smembers(keys.WORKERS_OF(name))
    pipeline.zcard(keys.DEFERRED(name))


def _oldest(client: Any, asked: Sequence[Sequence[Any]]) -> list[float | None]:
    heads = [row[8] if isinstance(row[8], bytes) else b"" for row in asked]
    pipeline = client.pipeline(transaction=False)
    for head in heads:
        pipeline.hget(keys.JOB(head.decode(errors="replace")), "enqueued_at")
    now = time.time()
    ages: list[float | None] = []
    for row, raw in zip(asked, pipeline.execute(raise_on_error=False), strict=True):
        ages.append(_age(now, raw, row[9]))
    return ages


def _age(now: float, enqueued: Any, first_delayed: Any) -> float | None:
    ages = []
    if isinstance(enqueued, bytes) and enqueued:
        with suppress(ValueError):
            ages.append(now - from_rq(enqueued.decode(errors="replace")).timestamp())
    if isinstance(first_delayed, list) and first_delayed:
        due = float(first_delayed[0][1])
        if due < now:
            ages.append(now - due)
    return max(0.0, *ages) if ages else None


def _live_workers(client: Any, asked: Sequence[Sequence[Any]]) -> list[int]:
    """How many workers serve each queue: registered, not expired, and not past the watchdog."""
    members = [row[10] if isinstance(row[10], set | list) else () for row in asked]
    known = list({member for row in members for member in row})
    pipeline = client.pipeline(transaction=False)
    for member in known:
        pipeline.hmget(member, "birth", "flowzz_state")
    answers = dict(zip(known, pipeline.execute(raise_on_error=False), strict=True))
    live = {
        member for member, state in answers.items() if isinstance(state, list) and any(state) and SILENT not in state
    }
    return [len(live.intersection(row)) for row in members]


def _stats(name: str, row: Sequence[Any], age: float | None, workers: int) -> QueueStats:
    problem = next((str(answer) for answer in row if isinstance(answer, ResponseError)), None)
    waiting, active, completed, failed, delayed, parked, canceled = (n if isinstance(n, int) else 0 for n in row[:7])
    pause = in_force(row[7])
    paused = pause is not None
    return QueueStats(
        name=name,
        waiting=0 if paused else waiting,
        paused=waiting if paused else 0,
        active=active,
        completed=completed,
        failed=failed,
        delayed=delayed,
        parked=parked,
        canceled=canceled,
        deferred=row[11] if isinstance(row[11], int) else 0,
        oldest_waiting_s=age,
        workers=workers,
        is_paused=paused,
        pause_reason=(pause and pause[0]) or None,
        problem=problem,
    )


def read_workers(client: Any) -> list[WorkerInfo]:
    """Every registered worker whose registration has not expired, by name."""
    with redis_errors():
        members = sorted(client.smembers(keys.WORKERS()))
        pipeline = client.pipeline(transaction=False)
        for member in members:
            pipeline.hgetall(member)
        hashes = pipeline.execute(raise_on_error=False)
    return [
        _worker(member.decode(errors="replace").removeprefix(keys.WORKER.prefix), fields)
        for member, fields in zip(members, hashes, strict=True)
        if isinstance(fields, dict) and fields and b"death" not in fields
    ]


def _worker(name: str, fields: dict[bytes, bytes]) -> WorkerInfo:
    text = {key.decode(): value.decode(errors="replace") for key, value in fields.items()}

    def whole(field: str) -> int:
        return int(text[field]) if text.get(field, "").isdigit() else 0

    beat = from_rq(text["last_heartbeat"]) if text.get("last_heartbeat") else None
    return WorkerInfo(
        name=name,
        host=text.get("hostname", ""),
        pid=whole("pid"),
        state=text.get("flowzz_state") or text.get("state", "?"),
        queues=[queue for queue in text.get("queues", "").split(",") if queue],
        concurrency=whole("flowzz_concurrency") or 1,
        active=whole("flowzz_active"),
        started_at=from_rq(text["birth"]) if text.get("birth") else None,
        last_heartbeat=beat,
        heartbeat_age_s=max(0.0, round((now() - beat).total_seconds(), 3)) if beat else None,
        completed=whole("successful_job_count"),
        failed=whole("failed_job_count"),
    )

"""Why a job is not running: the one reason that holds it up now, in words that say what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from flowzz.clock import from_epoch_ms
from flowzz.jobs.missing import distribution_of
from flowzz.jobs.state import STATE_OF_RQ_STATUS, JobState
from flowzz.queues import keys
from flowzz.queues.connection import redis_errors
from flowzz.queues.lanes import queue_key
from flowzz.queues.limiting import free_at, queue_limits
from flowzz.queues.pauses import in_force
from flowzz.queues.records import JobRecord

FOREIGN = "5|||"
"""The lane of plain RQ's jobs, and of those that have something else there: the scripts read it so too."""


class Reason(StrEnum):
    RUNNING = "running"
    FINAL = "final"
    DELAYED = "delayed"
    PLUGIN_MISSING = "plugin_missing"
    PARENTS_PENDING = "parents_pending"
    SUSPENDED = "suspended"
    QUEUE_PAUSED = "queue_paused"
    PAUSED = "paused"
    RATE_LIMITED = "rate_limited"
    CONCURRENCY_LIMITED = "concurrency_limited"
    HELD = "held"
    NO_WORKER = "no_worker"
    IN_TURN = "in_turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """``sentence`` is for people. ``until`` is when the reason ends by itself, when that is known.

    ``key`` names the limit (``queue:…`` is that of a whole queue), queue, job type or company that holds the job;
    ``holders`` the executions that have the limit's slots. ``position`` counts from 1 among the jobs of the same
    priority, company, type and limits. ``note`` is what was given as the reason of a pause or a delay, ``by`` who made
    the pause.
    """

    job_id: str
    state: str
    reason: Reason
    sentence: str
    until: datetime | None = None
    key: str | None = None
    holders: tuple[str, ...] = ()
    position: int | None = None
    note: str | None = None
    by: str | None = None


def explain(client: Any, job: JobRecord) -> Explanation:
    """Reads only. Raises QueueUnavailable."""
    if job.state is JobState.WAITING:
        with redis_errors():
            return _waiting(client, job)
    if job.state is JobState.DEFERRED:
        with redis_errors():
            return _deferred(client, job)
    return _elsewhere(job)


def _deferred(client: Any, job: JobRecord) -> Explanation:
    """``holders`` are the parents it still waits for, ``key`` the first that nobody runs unless a person retries it."""
    parents = sorted(member.decode() for member in client.smembers(keys.DEPENDENCIES(job.id)))
    pipeline = client.pipeline(transaction=False)
    for parent in parents:
        pipeline.hmget(keys.JOB(parent), "status", "flowzz_note")
    told, stuck = [], None
    for parent, (status, note) in zip(parents, pipeline.execute(), strict=True):
        state = STATE_OF_RQ_STATUS.get((status or b"").decode())
        if state is JobState.PARKED and not note:
            state = JobState.DEFERRED
        told.append(f"{parent} ({state.value if state else 'removed'})")
        if stuck is None and state in (JobState.FAILED, JobState.CANCELED):
            stuck = parent
    sentence = f"it waits for its parents: {', '.join(told) or 'they just ended'}"
    if stuck:
        sentence += f"; retry {stuck}, or this job to run it without"
    return Explanation(
        job_id=job.id,
        state=job.state.value,
        reason=Reason.PARENTS_PENDING,
        sentence=sentence,
        key=stuck or (parents[0] if parents else None),
        holders=tuple(parents),
    )


def _moment(due: datetime | None) -> str:
    return f"{due:%Y-%m-%d %H:%M:%S} UTC" if due else "a time that cannot be read"


def _elsewhere(job: JobRecord) -> Explanation:
    reason, sentence = Reason.FINAL, f"it is {job.state.value}; retry it to run it again"
    if job.state is JobState.ACTIVE:
        reason, sentence = Reason.RUNNING, f"it is running on worker {job.worker}"
    elif job.state is JobState.DELAYED:
        why = f" ({job.note})" if job.note else ""
        reason, sentence = Reason.DELAYED, f"it is delayed until {_moment(job.due_at)}{why}"
    elif job.state is JobState.PARKED:
        reason = Reason.PLUGIN_MISSING
        sentence = (
            f"no running worker registers {job.name!r}; install its plugin ({distribution_of(job.name)}) and restart "
            "the workers"
        )
    return Explanation(
        job_id=job.id, state=job.state.value, reason=reason, sentence=sentence, until=job.due_at, note=job.note
    )


def _waiting(client: Any, job: JobRecord) -> Explanation:
    lane = client.hget(keys.JOB(job.id), "flowzz_lane")
    lane = lane.decode(errors="replace") if lane else FOREIGN
    pipeline = client.pipeline(transaction=False)
    parts = lane if lane.count("|") >= 3 else FOREIGN
    _, company, name, _ = parts.split("|", 3)
    pipeline.exists(keys.SUSPENDED())
    pipeline.hmget(keys.PAUSED(), f"queue:{job.queue}", f"job:{name}", f"company:{company}")
    pipeline.hget(keys.BLOCKS(job.queue), lane).zscore(keys.BLOCKED(job.queue), lane)
    pipeline.smembers(keys.WORKERS_OF(job.queue)).lpos(keys.LANE(f"{job.queue}|{lane}"), job.id)
    suspended, pauses, block, until, workers, place = pipeline.execute()
    position = None if place is None else place + 1
    facts: dict[str, Any] = {"job_id": job.id, "state": job.state.value, "position": position}
    if suspended:
        return Explanation(reason=Reason.SUSPENDED, sentence="all workers are suspended; run `rq resume`", **facts)
    for key, raw in zip((f"queue {job.queue}", f"job:{name}", f"company:{unquote(company)}"), pauses, strict=True):
        if pause := in_force(raw):
            return _paused(key, *pause, facts)
    if not (workers and client.exists(*workers)):
        sentence = f"no live worker serves queue {job.queue}; start one with `flowzz worker --queues {job.queue}`"
        return Explanation(reason=Reason.NO_WORKER, sentence=sentence, key=job.queue, **facts)
    if told := _queue_limited(client, job.queue, *queue_limits(client, job.queue), facts):
        return told
    if block:
        return _blocked(client, block.decode(), until, facts)
    sentence = f"it waits for its turn, number {position} in its line" if position else "it waits for its turn"
    return Explanation(reason=Reason.IN_TURN, sentence=sentence, **facts)


def _paused(key: str, note: str, until: datetime | None, by: str, facts: dict[str, Any]) -> Explanation:
    of_queue = key.startswith("queue ")
    when = f" until {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
    return Explanation(
        reason=Reason.QUEUE_PAUSED if of_queue else Reason.PAUSED,
        sentence=f"{key} is paused{f' by {by}' if by else ''}{when}: {note or 'no reason was given'}",
        key=key.removeprefix("queue "),
        until=until,
        note=note,
        by=by or None,
        **facts,
    )


def _queue_limited(
    client: Any, queue: str, rate: tuple[int, int] | None, most: int | None, facts: dict[str, Any]
) -> Explanation | None:
    """What of the queue's own limits is used up, or None."""
    if most is not None and client.zcard(keys.WIP(queue)) >= most:
        holders = tuple(sorted(member.decode().partition(":")[0] for member in client.zrange(keys.WIP(queue), 0, -1)))
        sentence = f"queue {queue} runs at most {most} at a time: {', '.join(holders)}"
        return Explanation(
            reason=Reason.CONCURRENCY_LIMITED, sentence=sentence, key=f"queue:{queue}", holders=holders, **facts
        )
    if rate is not None:
        now_s, micros = client.time()
        moments = client.lrange(keys.RATE(queue_key(queue, "rate")), -rate[0], -1)
        if until := free_at(moments, *rate, now_s * 1000 + micros / 1000):
            sentence = (
                f"queue {queue} starts at most {rate[0]} in {rate[1] / 1000:g} s, the next at {until:%H:%M:%S} UTC"
            )
            return Explanation(
                reason=Reason.RATE_LIMITED, sentence=sentence, key=f"queue:{queue}", until=until, **facts
            )
    return None


def _blocked(client: Any, block: str, until: float, facts: dict[str, Any]) -> Explanation:
    kind, _, raw_key = block.partition(" ")
    key = unquote(raw_key)
    end = None if until == float("inf") else from_epoch_ms(until)
    when = f" until {end:%H:%M:%S} UTC" if end else ""
    shown = key.partition(":")[2]
    match kind:
        case "rate":
            sentence = f"limit {shown} admits no more{when}"
            return Explanation(reason=Reason.RATE_LIMITED, sentence=sentence, key=shown, until=end, **facts)
        case "held":
            sentence = f"the upstream asked to wait: limit {shown} is held{when}"
            return Explanation(reason=Reason.HELD, sentence=sentence, key=shown, until=end, **facts)
        case "concurrency":
            members = sorted(m.decode() for m in client.smembers(keys.RUNNING(raw_key)))
            holders = tuple(member.partition("|")[2].partition(":")[0] for member in members)
            sentence = f"limit {shown} is used up by {', '.join(holders) or 'a job that just ended'}"
            return Explanation(
                reason=Reason.CONCURRENCY_LIMITED, sentence=sentence, key=shown, holders=holders, **facts
            )
    return Explanation(reason=Reason.IN_TURN, sentence="it waits for its turn; a pause has just ended", **facts)

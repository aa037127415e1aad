"""A whole Redis, read at once: which keys there are, and in which places each job stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.engine import REGISTRIES
from flowzz.queues.keys import Key

NO_TTL = -1
Place = tuple[str, JobState]
"""Queue, and the list or set of it in which the job stands."""


@dataclass(frozen=True, slots=True)
class Ending:
    """An execution that ended, as the job's history has it."""

    execution: str
    outcome: str
    error: str = ""

    @property
    def was_lost(self) -> bool:
        """Its worker, or its process, was lost."""
        return self.outcome == "stalled" or self.error in ("Stalled", "JobCrashed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """``hashes``: status, error and note of each stored job. ``expiring``: keys with a time to live,
    those among them that have gone by now."""

    keys: frozenset[str]
    expiring: frozenset[str]
    places: dict[str, list[Place]]
    hashes: dict[str, tuple[str, str, str]]
    history: dict[str, list[Ending]]
    leases: dict[str, str]
    laned: dict[str, int]
    in_lanes: dict[str, int]
    slots: dict[str, set[str]]
    unique: dict[str, str]
    workers: dict[str, set[str]]

    def of(self, family: Key) -> set[str]:
        """What the keys of a family are about."""
        return {
            name
            for key in self.keys
            if key.startswith(family.prefix) and key.endswith(family.ending)
            for name in [key[len(family.prefix) : len(key) - len(family.ending)]]
        }


def queues_of(raw: redis.Redis) -> list[str]:
    """Every queue of this Redis."""
    return sorted(key.decode().removeprefix(keys.QUEUE.prefix) for key in raw.smembers(keys.QUEUES()))


def places_of(raw: redis.Redis, queues: Sequence[str]) -> dict[str, list[Place]]:
    """Every job that stands anywhere, and each place where it does."""
    found: dict[str, list[Place]] = {}
    for queue in queues:
        for member in raw.lrange(keys.QUEUE(queue), 0, -1):
            found.setdefault(member.decode(), []).append((queue, JobState.WAITING))
        for state, family in REGISTRIES.items():
            for member in raw.zrange(family(queue), 0, -1):
                found.setdefault(member.decode().partition(":")[0], []).append((queue, state))
    return found


def lanes_of(raw: redis.Redis, queue: str) -> dict[str, list[str]]:
    """The ids in each lane of the queue."""
    prefix = keys.LANE(queue + "|")
    return {
        key.decode().removeprefix(prefix): [member.decode() for member in raw.lrange(key, 0, -1)]
        for key in raw.scan_iter(prefix + "*", count=1000)
    }


def take_census(raw: redis.Redis) -> Census:
    """Everything at one moment, so far as nobody writes meanwhile."""
    names = sorted(key.decode(errors="replace") for key in raw.scan_iter("*", count=1000))
    queues = queues_of(raw)
    ids = _ids(names)
    pipeline = raw.pipeline(transaction=False)
    for job_id in ids:
        pipeline.hmget(keys.JOB(job_id), "status", "flowzz_error", "flowzz_note").xrange(keys.RESULTS(job_id))
    answers = pipeline.execute()
    ttls = raw.pipeline(transaction=False)
    for name in names:
        ttls.pttl(name)
    return Census(
        keys=frozenset(names),
        expiring=frozenset(name for name, ttl in zip(names, ttls.execute(), strict=True) if ttl != NO_TTL),
        places=places_of(raw, queues),
        hashes={job_id: _texts(answers[2 * i]) for i, job_id in enumerate(ids)},
        history={job_id: [_ending(entry) for _, entry in answers[2 * i + 1]] for i, job_id in enumerate(ids)},
        leases={m.decode(): queue for queue in queues for m in raw.zrange(keys.WIP(queue), 0, -1)},
        laned={queue.decode(): int(count) for queue, count in raw.hgetall(keys.LANED()).items()},
        in_lanes={queue: sum(map(len, lanes_of(raw, queue).values())) for queue in queues},
        slots={
            name.removeprefix(keys.RUNNING.prefix): {member.decode() for member in raw.smembers(name)}
            for name in names
            if name.startswith(keys.RUNNING.prefix)
        },
        unique={key.decode(): job_id.decode() for key, job_id in raw.hgetall(keys.UNIQUE()).items()},
        workers={
            name.removeprefix(keys.WORKERS_OF.prefix): {member.decode() for member in raw.smembers(name)}
            for name in names
            if name.startswith(keys.WORKERS_OF.prefix)
        },
    )


def _ids(names: Sequence[str]) -> list[str]:
    """Job ids, never those of ``rq:job:<id>:dependents``."""
    prefix = keys.JOB.prefix
    return [name[len(prefix) :] for name in names if name.startswith(prefix) and ":" not in name[len(prefix) :]]


def _texts(fields: Sequence[bytes | None]) -> tuple[str, str, str]:
    status, error, note = ((field or b"").decode(errors="replace") for field in fields)
    return status, error, note


def _ending(entry: dict[bytes, bytes]) -> Ending:
    error = json.loads(entry.get(b"error") or b"{}").get("type", "")
    return Ending(entry.get(b"execution_id", b"").decode(), entry.get(b"outcome", b"").decode(), error)

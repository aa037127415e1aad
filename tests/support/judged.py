"""What the random sequences of tests/core/test_queues_machine.py are judged by: a small model, a census, invariants."""

from __future__ import annotations

from typing import Any

import redis
from hypothesis.stateful import RuleBasedStateMachine, invariant

from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.claims import Claim
from flowzz.queues.engine import REGISTRIES, Queues
from flowzz.queues.lanes import LimitKey

QUEUES = ("alpha", "beta")
LIMITED = LimitKey("phone", 2, 3_600_000)
SLOTTED = LimitKey("account", 1)


class Judged(RuleBasedStateMachine):
    """The model is small: which ids exist, and which claims each worker believes it holds."""

    queues: Queues
    raw: redis.Redis

    def __init__(self) -> None:
        super().__init__()
        self.raw.flushall()
        self.exists: set[str] = set()
        self.foreign: set[str] = set()
        self.batches: list[str] = []
        self.held: list[tuple[str, Claim]] = []
        self.last_step: dict[str, tuple[str, tuple[Any, ...], int, list[int]]] = {}
        self.tokens = 0
        self.tick = 0

    def _census(self) -> dict[str, list[tuple[str, JobState]]]:
        found: dict[str, list[tuple[str, JobState]]] = {}
        for queue in QUEUES:
            for member in self.raw.lrange(keys.QUEUE(queue), 0, -1):
                found.setdefault(member.decode(), []).append((queue, JobState.WAITING))
            for state, family in REGISTRIES.items():
                for member in self.raw.zrange(family(queue), 0, -1):
                    found.setdefault(member.decode().partition(":")[0], []).append((queue, state))
        return found

    def _forget_trimmed(self) -> None:
        self.exists = {job_id for job_id in self.exists if self.raw.exists(keys.JOB(job_id))}

    @invariant()
    def no_job_that_has_ended_has_a_key(self) -> None:
        for key, raw_id in self.raw.hgetall(keys.UNIQUE()).items():
            job_id = raw_id.decode()
            if self.raw.hget(keys.JOB(job_id), "flowzz_unique") == key:
                assert not self.queues.job(job_id).state.is_final

    @invariant()
    def the_counts_of_batches_are_those_of_their_members(self) -> None:
        for name in self.batches:
            members = [outcome.decode() for outcome in self.raw.hvals(keys.MEMBERS(name))]
            found = self.queues.batch(name)
            counts = (found.pending, found.completed, found.failed, found.canceled, found.removed)
            names = ("pending", "completed", "failed", "canceled", "removed")
            assert counts == tuple(members.count(outcome) for outcome in names)
            assert found.total == len(members)
            assert found.finished_at is not None or found.pending > 0

    @invariant()
    def children_and_parents_know_each_other(self) -> None:
        for queue in QUEUES:
            for member in self.raw.zrange(keys.DEFERRED(queue), 0, -1):
                for parent in self.raw.smembers(keys.DEPENDENCIES(member.decode())):
                    gone = not self.raw.exists(keys.JOB(parent.decode()))
                    assert gone or self.raw.sismember(keys.DEPENDENTS(parent.decode()), member)

    @invariant()
    def every_lane_is_once_where_it_belongs(self) -> None:
        for queue in QUEUES:
            prefix = keys.LANE(queue + "|")
            lanes = sorted(key.decode().removeprefix(prefix) for key in self.raw.scan_iter(prefix + "*"))
            found = [lane.decode() for lane in self.raw.zrange(keys.BLOCKED(queue), 0, -1)]
            priorities = []
            for ring in self.raw.scan_iter(keys.RING(queue + "|") + "*"):
                priorities.append(priority := ring.decode().rpartition("|")[2])
                companies = [c.decode() for c in self.raw.lrange(ring, 0, -1)]
                assert len(companies) == len(set(companies))
                for company in companies:
                    group = self.raw.lrange(keys.GROUP(f"{queue}|{priority}|{company}"), 0, -1)
                    assert group
                    found += [lane.decode() for lane in group]
            groups = list(self.raw.scan_iter(keys.GROUP(queue + "|") + "*"))
            rings = [self.raw.llen(ring) for ring in self.raw.scan_iter(keys.RING(queue + "|") + "*")]
            assert len(groups) == sum(rings)
            assert sorted(found) == lanes
            assert sorted(self.raw.zrange(keys.RINGS(queue), 0, -1)) == sorted(p.encode() for p in priorities)
            assert set(self.raw.hkeys(keys.BLOCKS(queue))) == set(self.raw.zrange(keys.BLOCKED(queue), 0, -1))
            laned = sum(self.raw.llen(prefix + lane) for lane in lanes)
            assert laned == int(self.raw.hget(keys.LANED(), queue) or 0)

    @invariant()
    def slots_are_held_by_what_runs(self) -> None:
        running = {
            f"{queue}|{member.decode()}" for queue in QUEUES for member in self.raw.zrange(keys.WIP(queue), 0, -1)
        }
        assert {member.decode() for member in self.raw.smembers(keys.RUNNING(SLOTTED.key))} <= running

    @invariant()
    def every_job_is_in_exactly_one_place(self) -> None:
        places = self._census()
        assert sorted(places) == sorted(self.exists)
        for job_id, found in places.items():
            record = self.queues.job(job_id)
            assert found == [(record.queue, record.state)], (job_id, found, record.state)

    @invariant()
    def the_counts_are_those_of_a_census(self) -> None:
        stats = self.queues.stats(QUEUES)
        counted = sum(s.waiting + s.active + s.completed + s.failed + s.delayed + s.canceled for s in stats)
        counted += sum(s.parked + s.deferred + s.paused for s in stats)
        assert counted == len(self.exists)

    @invariant()
    def no_key_is_left_of_a_job_that_is_gone(self) -> None:
        for family in (keys.JOB, keys.RESULTS, keys.LOG, keys.STEPS):
            for key in self.raw.scan_iter(family.prefix + "*"):
                name = key.decode().removeprefix(family.prefix).removeprefix(":").removesuffix(":dependencies")
                if not name.endswith(":dependents"):
                    assert name in self.exists, key

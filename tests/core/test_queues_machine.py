"""Random sequences of everything the scripts do, against one Valkey: every job in exactly one place, no orphan key."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from flowzz.errors import InvalidRequest
from flowzz.jobs.options import ParentPolicy
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.admission import Admission
from flowzz.queues.claims import Claim
from flowzz.queues.dead import DeadLetters
from flowzz.queues.engine import REGISTRIES, Queues
from flowzz.queues.fields import dump_call
from flowzz.queues.lanes import Lane, queue_key
from flowzz.queues.reading import pack_text
from flowzz.queues.schedules import FireOutcome
from support.engine import completed, ended, failure_text, new_job, step
from support.judged import LIMITED, QUEUES, SLOTTED, Judged

WORKERS = ("w1", "w2")
KINDS = ("completed", "failed", "retrying", "postponed", "released", "parked", "canceled")
LANES = st.builds(
    Lane,
    priority=st.sampled_from([1, 5]),
    company=st.sampled_from(["", "a", "b"]),
    job=st.just("probe.work"),
    limits=st.sampled_from([(), (), (LIMITED,), (SLOTTED,), (LIMITED, SLOTTED)]),
)
LIMIT_KEYS = [LIMITED.key, SLOTTED.key, queue_key("alpha", "rate"), queue_key("alpha", "concurrency")]
KEYS = ["u:one", "u:two", "d:three", "t:four"]
IDS = st.sampled_from([f"job-{number}" for number in range(6)])


class Machine(Judged):
    """Everything that the scripts do, in any order."""

    @rule(job_id=IDS, queue=st.sampled_from(QUEUES), delayed=st.booleans(), lane=LANES)
    def enqueue(self, job_id: str, queue: str, delayed: bool, lane: Lane) -> None:
        due = "in:3600000" if delayed else ""
        answer = self.queues.transitions.enqueue([new_job(job_id, queue=queue, due=due, lane=lane)])
        assert answer == [1 if job_id not in self.exists else -1 if job_id in self.foreign else 0]
        if answer == [1]:
            self.foreign.discard(job_id)
        self.exists.add(job_id)

    @rule(job_id=IDS, newer=st.booleans(), exclusive=st.booleans())
    def fire(self, job_id: str, newer: bool, exclusive: bool) -> None:
        """A tick fires once; one that must not overlap only when no job of those before it is open."""
        newer = newer or self.tick == 0
        self.tick += newer
        job = new_job(job_id, queue="alpha")
        reply = self.queues.transitions.fire("clock", self.tick, [job], exclusive=exclusive)
        assert newer or reply.outcome is FireOutcome.CLAIMED_BEFORE
        if reply.jobs:
            assert job_id not in self.exists
            self.exists.add(job_id)
            self.foreign.discard(job_id)

    @rule(worker=st.sampled_from(WORKERS), want=st.integers(1, 4))
    def claim(self, worker: str, want: int) -> None:
        self._step(worker, want, [])

    @precondition(lambda self: self.held)
    @rule(kind=st.sampled_from(KINDS), want=st.integers(0, 2), data=st.data())
    def settle(self, kind: str, want: int, data: st.DataObject) -> None:
        """One of the executions somebody believes to hold ends, its lease lost or not."""
        worker, claim = data.draw(st.sampled_from(self.held))
        self._step(worker, want, [(worker, claim, kind)])

    @rule(worker=st.sampled_from(WORKERS), kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=4))
    def settle_several(self, worker: str, kinds: list[str]) -> None:
        mine = [claim for holder, claim in self.held if holder == worker]
        self._step(worker, 2, [(worker, claim, kind) for claim, kind in zip(mine, kinds, strict=False)])

    def _step(self, worker: str, want: int, ending: list[tuple[str, Claim, str]]) -> None:
        settlements = tuple(self._settlement(claim, kind) for _, claim, kind in ending)
        self.tokens += 1
        token = f"t{self.tokens}"
        reply = step(
            self.queues, *settlements, want=want, worker=worker, token=token, served=QUEUES,
            keep_completed=3, keep_failed=3,
        )  # fmt: skip
        over = [(holder, claim) for holder, claim, _ in ending]
        self.held = [entry for entry in self.held if entry not in over]
        self.held += [(worker, claim) for claim in reply.claims]
        if reply.verdicts or reply.claims:
            self.last_step[worker] = (token, settlements, want, reply.verdicts)
        else:
            self.last_step.pop(worker, None)
        self._forget_trimmed()

    @rule(worker=st.sampled_from(WORKERS))
    def repeat_the_last_step(self, worker: str) -> None:
        """Its reply was lost: the same token again changes nothing and answers the same.

        A step that did nothing is not remembered; its repeat is a step like any other.
        """
        if worker not in self.last_step:
            return
        token, settlements, want, verdicts = self.last_step[worker]
        before = self._census()
        reply = step(self.queues, *settlements, want=want, worker=worker, token=token, served=QUEUES)
        assert reply.verdicts == verdicts
        assert self._census() == before

    @rule(some=st.integers(0, 3))
    def lose_leases_and_rescue(self, some: int) -> None:
        for queue in QUEUES:
            for member in self.raw.zrange(keys.WIP(queue), 0, some - 1) if some else []:
                self.raw.zadd(keys.WIP(queue), {member: 1})
        self.queues.transitions.rescue(limit=100, keep_failed=3, failure_text=failure_text(), max_stalled=1)
        self._forget_trimmed()

    @rule(queue=st.sampled_from(QUEUES))
    def time_passes(self, queue: str) -> None:
        for member in self.raw.zrange(keys.SCHEDULED(queue), 0, 0):
            self.raw.zadd(keys.SCHEDULED(queue), {member: 1})

    # What runs reports, and is told

    @precondition(lambda self: self.held)
    @rule(data=st.data(), name=st.sampled_from(["one", "two"]))
    def report(self, data: st.DataObject, name: str) -> None:
        """Progress, log, checkpoint and a finished step count under the lease, and only there."""
        _, claim = data.draw(st.sampled_from(self.held))
        leased = self._is_leased(claim)
        told = self.queues.transitions.report(claim, 1, progress=(40.0, name), checkpoint={"at": name}, log=[name])
        kept = self.queues.transitions.remember(claim, name, '"done"')
        assert (told, kept) == (leased, leased)

    @rule(worker=st.sampled_from(WORKERS))
    def heartbeat(self, worker: str) -> None:
        """Who lost a lease is told so, whoever has the job now."""
        mine = [claim for holder, claim in self.held if holder == worker]
        leased = [self._is_leased(claim) for claim in mine]
        told = self.queues.transitions.renew(
            worker, lease_ms=30_000, ttl_s=60, fields={"hostname": "h"}, queues=QUEUES,
            executions=[(c.queue, c.job_id, c.execution_id, float(c.started_at)) for c in mine],
        )  # fmt: skip
        assert [answer > 0 for answer in told] == leased

    def _is_leased(self, claim: Claim) -> bool:
        return self.raw.zscore(keys.WIP(claim.queue), f"{claim.job_id}:{claim.execution_id}") is not None

    @rule(action=st.sampled_from(["retry", "remove", "cancel"]), job_id=IDS)
    def manage(self, action: str, job_id: str) -> None:
        try:
            getattr(self.queues, action)(job_id)
        except InvalidRequest:
            return
        if action == "remove":
            self.exists.discard(job_id)
        self._forget_trimmed()

    # Admission: duplicates keys, expiry, pruning

    @rule(
        job_id=IDS,
        queue=st.sampled_from(QUEUES),
        key=st.sampled_from(["u:one", "u:two", "d:three", "t:four"]),
        lane=LANES,
    )
    def enqueue_with_a_key(self, job_id: str, queue: str, key: str, lane: Lane) -> None:
        admission = Admission(key=key, window_ms=3_600_000)
        new = replace(new_job(job_id, queue=queue, lane=lane), admission=admission)
        (answer,) = self.queues.transitions.enqueue([new])
        if job_id in self.exists:
            assert answer == (-1 if job_id in self.foreign else 0)
        elif isinstance(answer, str) and key.startswith("t:"):
            assert self.raw.get(keys.THROTTLE(key)) == answer.encode(), "whatever became of it since"
        elif isinstance(answer, str):
            assert not self.queues.job(answer).state.is_final
            assert self.raw.hget(keys.JOB(answer), "flowzz_unique") == key.encode()
        else:
            assert answer == 1
            self.foreign.discard(job_id)
            self.exists.add(job_id)

    @rule(job_id=IDS)
    def its_last_moment_to_start_passes(self, job_id: str) -> None:
        if job_id in self.exists:
            self.raw.hset(keys.JOB(job_id), "flowzz_expires", "1")

    @rule(keep_bytes=st.sampled_from([0, 10**9]))
    def prune(self, keep_bytes: int) -> None:
        self.raw.delete(keys.PRUNING())
        while self.queues.transitions.prune(
            interval_ms=60_000, keep_completed_s=1000, keep_failed_s=1000, keep_bytes=keep_bytes, limit=2
        ):
            self._forget_trimmed()
        self._forget_trimmed()
        for key, job_id in self.raw.hgetall(keys.UNIQUE()).items():
            assert self.raw.hget(keys.JOB(job_id.decode()), "flowzz_unique") == key
        if keep_bytes == 0:
            assert all(not s.completed and not s.failed and not s.canceled for s in self.queues.stats(QUEUES))

    # Dependencies, dead letters

    @rule(
        job_id=IDS,
        queue=st.sampled_from(QUEUES),
        parents=st.lists(IDS, min_size=1, max_size=3, unique=True),
        policy=st.sampled_from(["fail", "run", "wait"]),
    )
    def enqueue_a_child(self, job_id: str, queue: str, parents: list[str], policy: ParentPolicy) -> None:
        if job_id in self.exists or job_id in parents:
            return
        new = new_job(job_id, queue=queue)
        answer = self.queues.transitions.enqueue([replace(new, admission=new.admission.after(parents, policy))])
        assert answer == [1 if set(parents) <= self.exists else -3]
        if answer == [1]:
            self.foreign.discard(job_id)
            self.exists.add(job_id)

    @rule(ids=st.lists(IDS, min_size=1, max_size=3, unique=True), queue=st.sampled_from(QUEUES))
    def enqueue_a_batch(self, ids: list[str], queue: str) -> None:
        name = f"batch-{len(self.batches)}"
        made = self.queues.transitions.batch(name, "n", [new_job(i, queue=queue) for i in ids], None, None)
        taken = next((place for place, i in enumerate(ids, start=1) if i in self.exists), 0)
        assert made == ((-2, taken) if taken else (1, 0))
        if not taken:
            self.batches.append(name)
            self.exists |= set(ids)
            self.foreign -= set(ids)

    @rule(ids=st.lists(IDS, max_size=3, unique=True), remove=st.booleans())
    def move_the_dead(self, ids: list[str], remove: bool) -> None:
        letters = DeadLetters(self.queues)
        (letters.remove if remove else letters.replay)(ids=ids)
        self._forget_trimmed()

    @rule()
    def nobody_waits_for_who_has_ended(self) -> None:
        """After two sweeps every deferred job waits for a parent that may still complete."""
        for _ in range(2):
            self.queues.transitions.rescue(limit=100, keep_failed=3, failure_text=failure_text(), max_stalled=1)
        self._forget_trimmed()
        waited_for = {key.decode().split(":")[2] for key in self.raw.scan_iter(keys.DEPENDENTS("*"))}
        assert waited_for <= self.exists
        for job_id in self.exists:
            if self.queues.job(job_id).state is JobState.DEFERRED:
                parents = [member.decode() for member in self.raw.smembers(keys.DEPENDENCIES(job_id))]
                assert parents
                for parent in parents:
                    assert self.raw.hget(keys.JOB(parent), "status") not in (None, b"finished"), (job_id, parent)

    @rule(queue=st.sampled_from(QUEUES), front=st.booleans())
    def plain_rq_takes_a_job_out(self, queue: str, front: bool) -> None:
        """A stock worker pops from the list without asking; here it also deletes the job, as if it had expired."""
        popped = self.raw.lpop(keys.QUEUE(queue)) if front else self.raw.rpop(keys.QUEUE(queue))
        if popped:
            self.exists.discard(popped.decode())
            self.raw.delete(*(family(popped.decode()) for family in (keys.JOB, keys.RESULTS)))
            self._leaves_ours(popped.decode())

    def _leaves_ours(self, *ids: str) -> None:
        """RQ deletes its own keys and leaves a job's log and steps behind: known, and put away here."""
        for job_id in ids:
            self.raw.delete(keys.LOG(job_id), keys.STEPS(job_id))

    @rule(queue=st.sampled_from(QUEUES), job_id=IDS, front=st.booleans())
    def plain_rq_enqueues(self, queue: str, job_id: str, front: bool) -> None:
        if job_id in self.exists:
            return
        self.exists.add(job_id)
        self.foreign.add(job_id)
        fields = {"data": dump_call("probe.work", {}), "status": "queued", "origin": queue}
        self.raw.hset(keys.JOB(job_id), mapping=fields)
        self.raw.sadd(keys.QUEUES(), keys.QUEUE(queue))
        (self.raw.lpush if front else self.raw.rpush)(keys.QUEUE(queue), job_id)

    @rule(job_id=IDS, deed=st.sampled_from(["cancel", "delete"]))
    def plain_rq_takes_a_job_back(self, job_id: str, deed: str) -> None:
        """Of what runs, tests/rq_contract has the tests: it is in two places until it is settled."""
        if self._is_plain(job_id) and self.queues.job(job_id).state in (JobState.WAITING, JobState.DELAYED):
            getattr(Job.fetch(job_id, connection=self.raw, serializer=JSONSerializer), deed)()
            if deed == "delete":
                self.exists.discard(job_id)
                self._leaves_ours(job_id)

    @rule(job_id=IDS, front=st.booleans())
    def plain_rq_requeues(self, job_id: str, front: bool) -> None:
        if self._is_plain(job_id) and self.queues.job(job_id).state is JobState.FAILED:
            Job.fetch(job_id, connection=self.raw, serializer=JSONSerializer).requeue(at_front=front)

    @rule(queue=st.sampled_from(QUEUES))
    def plain_rq_empties(self, queue: str) -> None:
        waiting = {member.decode() for member in self.raw.lrange(keys.QUEUE(queue), 0, -1)}
        if all(self._is_plain(job_id) for job_id in waiting):
            Queue(queue, connection=self.raw, serializer=JSONSerializer).empty()
            self.exists -= waiting
            self._leaves_ours(*waiting)

    def _is_plain(self, job_id: str) -> bool:
        """Without key, family or batch, which RQ does not know: those are told at the next sweep, not at once."""
        told = ("flowzz_unique", "flowzz_children", "flowzz_batch", "dependency_ids")
        return job_id in self.exists and not any(self.raw.hmget(keys.JOB(job_id), told))

    @rule(
        what=st.sampled_from(["job:probe.work", "company:a", "company:b", "queue:beta"]),
        resume=st.booleans(),
        until=st.sampled_from([None, datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)]),
    )
    def pause_some(self, what: str, resume: bool, until: datetime | None) -> None:
        if resume:
            self.queues.transitions.resume(what)
        else:
            self.queues.transitions.pause(what, "test", until)

    @rule(key=st.sampled_from(LIMIT_KEYS), count=st.sampled_from(["1", "3", "none"]), revert=st.booleans())
    def edit_a_limit(self, key: str, count: str, revert: bool) -> None:
        """Of a whole queue, and of jobs; a rate is one an hour, so it stays used up."""
        if revert:
            self.queues.transitions.revert_limits(key, "test", [key])
        else:
            value = count if count == "none" or key.startswith("c:") else f"{count}/3600000"
            self.queues.transitions.edit_limits(key, "test", [(key, value, "none")])

    @rule()
    def everything_that_may_run_can_be_claimed(self) -> None:
        """Without pauses and limits nothing that waits is ever out of reach."""
        for what in ("job:probe.work", "company:a", "company:b", "queue:beta"):
            self.queues.transitions.resume(what)
        self.queues.transitions.revert_limits("all", "test", LIMIT_KEYS)
        for name in (LIMITED.key, SLOTTED.key):
            self.raw.hdel(keys.LIMITS(), name)
        for queue in QUEUES:
            for lane in self.raw.zrange(keys.BLOCKED(queue), 0, -1):
                self.raw.zadd(keys.BLOCKED(queue), {lane: 1})
        for _ in range(3):
            self._step("w1", 50, [])
        assert all(stats.waiting == 0 for stats in self.queues.stats(QUEUES))

    @rule(queue=st.sampled_from(QUEUES))
    def pause_and_resume(self, queue: str) -> None:
        self.queues.pause(queue, "test")
        assert all(claim.queue != queue for claim in step(self.queues, served=(queue,), worker="w3").claims)
        self.queues.resume(queue)

    @rule()
    def unpark(self) -> None:
        self.queues.transitions.unpark(["probe.work"])

    def _settlement(self, claim: Claim, kind: str) -> Any:
        if kind == "completed":
            return completed(claim)
        note = "probe.work" if kind == "parked" else ""
        return ended(claim, kind, delay_ms=3_600_000, note=note, body=pack_text("x") if kind == "failed" else "")


def test_random_sequences_keep_every_job_in_exactly_one_place(redis_url: str) -> None:
    queues, raw = Queues.open(redis_url), redis.Redis.from_url(redis_url)
    machine = type("BoundMachine", (Machine,), {"queues": queues, "raw": raw})
    quiet = settings(
        max_examples=int(os.environ.get("MACHINE_EXAMPLES", "60")),
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=quiet)
    finally:
        queues.close()
        raw.close()


def test_the_census_covers_every_state() -> None:
    assert {JobState.WAITING, *REGISTRIES} == set(JobState)

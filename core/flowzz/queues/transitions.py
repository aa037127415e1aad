"""Typed wrappers of the scripts: what a worker, a scheduler and a producer do to jobs. One call, one round trip.

Every method raises QueueUnavailable when Redis is away; whether the script ran is then unknown, and the same call may
be repeated: an enqueue by its id and nonce, a step by its token.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flowzz.queues.claims import Claim, Rescued, Settlement, StepReply, read_claims, read_rescued
from flowzz.queues.connection import Clients, redis_errors
from flowzz.queues.keys import STEPS, WAKE
from flowzz.queues.lua import Script
from flowzz.queues.mending import Mended, Mender
from flowzz.queues.new_job import NewJob
from flowzz.queues.schedules import FireOutcome, FireReply

UNPARKED_AT_ONCE = 1000
"""Jobs that a call of ``unpark`` moves at most, as in the script."""


def _nothing() -> None:
    return None


class Transitions:
    """Every change of a job's place, as one script call each."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._mender = Mender(clients.commands)
        self._scripts: dict[tuple[str, int], Script] = {}

    def _run(self, name: str, arguments: Sequence[Any], client: Any | None = None) -> Any:
        client = client or self._clients.commands
        script = self._scripts.get((name, id(client)))
        if script is None:
            script = self._scripts[name, id(client)] = Script(client, name)
        with redis_errors():
            return self._mender.around(lambda: script(args=arguments))

    def enqueue(self, jobs: Sequence[NewJob]) -> list[int | str]:
        """All or nothing. For each job 1 stored, 0 there already (a repeat), or the id of the one that stands for it.

        -1: its id belongs to another job; then nothing was stored, and the others answer -2.
        """
        arguments: list[Any] = [len(jobs)]
        for job in jobs:
            arguments += job.arguments()
        answers = self._run("enqueue", arguments)
        return [answer.decode() if isinstance(answer, bytes) else int(answer) for answer in answers]

    def batch(
        self, batch_id: str, nonce: str, jobs: Sequence[NewJob], callback: NewJob | None, on_failure: NewJob | None
    ) -> tuple[int, int]:
        """(1 stored, 0 stored before, -1 its id is taken, -2 a job's is, -3 a parent is missing; that job's place)."""
        arguments: list[Any] = [batch_id, nonce]
        arguments += [json.dumps([str(v) for v in new.arguments()]) if new else "" for new in (callback, on_failure)]
        arguments.append(len(jobs))
        for job in jobs:
            arguments += replace(job, admission=replace(job.admission, batch=batch_id)).arguments()
        answer, place = self._run("batch", arguments)
        return int(answer), int(place)

    def fire(
        self,
        schedule: str,
        tick_ms: int,
        jobs: Sequence[NewJob],
        *,
        how: str = "tick",
        revision: int | None = None,
        exclusive: bool = False,
        by: str = "",
        run_id: str = "",
    ) -> FireReply:
        """Claim a tick and enqueue its jobs (see fire.lua for ``how``); of several callers one wins.

        ``revision`` refuses when somebody has edited the schedule since; ``exclusive`` while jobs of the tick before
        are open. A ``run`` is told apart by ``run_id`` and leaves the tick order alone.
        """
        arguments: list[Any] = [schedule, tick_ms, how, "" if revision is None else revision]
        arguments += ["1" if exclusive else "", by, run_id, len(jobs)]
        for job in jobs:
            arguments += job.arguments()
        outcome, stored = self._run("fire", arguments)
        return FireReply(FireOutcome(outcome), int(stored))

    def edit_schedule(
        self,
        schedule: str,
        action: str,
        *,
        by: str,
        now_ms: int,
        own: tuple[str, str],
        reason: str = "",
        cron: str = "",
        timezone: str = "",
    ) -> bool:
        """pause, resume, set or revert (see schedule.lua); False when there was nothing to change.

        ``own`` is the definition's cron line and time zone.
        """
        return bool(self._run("schedule", [schedule, action, by, now_ms, reason, cron, timezone, *own]))

    def step(
        self,
        worker: str,
        token: str,
        *,
        lease_ms: int,
        want: int,
        keep_completed: int,
        keep_failed: int,
        queues: Sequence[str],
        settlements: Sequence[Settlement],
        meanwhile: Callable[[], None] = _nothing,
    ) -> StepReply:
        """Settle and claim. The same ``token`` again answers as before and changes nothing.

        ``meanwhile`` is done once while Redis works, if the call could be sent; it must not raise, nor call Redis.
        """
        arguments: list[Any] = [
            worker,
            token,
            lease_ms,
            want,
            keep_completed,
            keep_failed,
            len(queues),
            *queues,
        ]
        arguments.append(len(settlements))
        for settlement in settlements:
            arguments += settlement.arguments()
        with self._clients.commands.meanwhile(meanwhile):
            verdicts, claims, more, next_due, now = self._run("step", arguments)
        now_ms = float(now)
        return StepReply(
            verdicts=[digit - 48 for digit in verdicts],
            claims=read_claims(claims, more, token, now_ms / 1000),
            next_due_ms=float(next_due),
            now_ms=now_ms,
        )

    def renew(
        self,
        worker: str,
        *,
        lease_ms: int,
        ttl_s: int,
        fields: Mapping[str, str | int],
        queues: Sequence[str],
        executions: Sequence[tuple[str, str, str, float]],
    ) -> list[int]:
        """Sign of life. For each (queue, job id, execution id, started at, Unix s): 1 renewed, 0 lost, 2 to end."""
        arguments: list[Any] = [worker, lease_ms, ttl_s, len(fields)]
        for name, value in fields.items():
            arguments += (name, value)
        arguments += (len(queues), *queues)
        for execution in executions:
            arguments += execution
        return [int(answer) for answer in self._run("renew", arguments, self._clients.steady)]

    def testify(self, who: str, epoch: str, since_ms: int, answered: int) -> list[bytes]:
        """Compare what this process knows of Redis's data with what Redis has (see epoch.lua and epoch.py)."""
        arguments = [who, epoch, since_ms, answered, uuid.uuid4().hex]
        return list(self._run("epoch", arguments, self._clients.steady))

    def deregister(self, worker: str, queues: Sequence[str]) -> None:
        """Take the worker off the lists; its leases are not touched."""
        self._run("deregister", [worker, *queues], self._clients.steady)

    def report(
        self,
        claim: Claim,
        attempt: int,
        *,
        progress: tuple[float, str] | None = None,
        checkpoint: Any = None,
        log: Sequence[str] = (),
    ) -> bool:
        """Store what a running execution reports; False when it no longer holds the lease."""
        arguments = [
            claim.queue,
            claim.job_id,
            claim.execution_id,
            attempt,
            "" if progress is None else json.dumps(progress),
            "" if checkpoint is None else json.dumps(checkpoint),
            uuid.uuid4().hex[:12] if log else "",
            *log,
        ]
        return int(self._run("report", arguments)) == 1

    def remember(self, claim: Claim, step: str, result: str) -> bool:
        """Keep a step's result (JSON); False when the execution no longer holds the lease."""
        return int(self._run("remember", [claim.queue, claim.job_id, claim.execution_id, step, result])) == 1

    def remember_unfenced(self, job_id: str, step: str, result: str) -> None:
        """Keep a step's result of a job that a stock RQ worker runs."""
        with redis_errors():
            self._clients.commands.hsetnx(STEPS(job_id), step, result)

    def recall(self, job_id: str) -> dict[str, str]:
        """Results (JSON) of the steps of the job that finished, by name."""
        with redis_errors():
            found = self._clients.commands.hgetall(STEPS(job_id))
        return {name.decode(): result.decode() for name, result in found.items()}

    def rescue(self, *, limit: int, keep_failed: int, failure_text: str, max_stalled: int) -> list[Rescued]:
        """Give back jobs whose lease has ended."""
        return [read_rescued(raw) for raw in self._run("rescue", [limit, keep_failed, failure_text, max_stalled])]

    def mend(self, *, keep_failed: int, astray_for_ms: int) -> Mended:
        """Look at the next thousand keys: wrong types are set aside, jobs that stood nowhere for so long put back.

        ``astray_for_ms`` is longer than a worker of plain RQ takes between taking a job and claiming it.
        """
        with redis_errors():
            mended: Mended = self._mender.around(lambda: self._mender.some(keep_failed, astray_for_ms))
        return mended

    def prune(
        self, *, interval_ms: int, keep_completed_s: float, keep_failed_s: float, keep_bytes: int, limit: int
    ) -> tuple[str, int] | None:
        """Let finished jobs of one queue go that are too old or too large: (queue, how many); None when none is due.

        The queue '' stands for what jobs that are gone left. Call it until it gives None.
        """
        pruned = self._run("prune", [interval_ms, keep_completed_s, keep_failed_s, keep_bytes, limit])
        return (pruned[0].decode(errors="replace"), int(pruned[1])) if pruned else None

    def unpark(self, jobs: Sequence[str], *, some: bool = False) -> int:
        """Jobs parked for want of one of these names wait again; how many. ``some`` looks at a page of each queue."""
        moved, waiting = 0, UNPARKED_AT_ONCE if jobs else 0
        while waiting == UNPARKED_AT_ONCE:
            waiting = int(self._run("unpark", [random.random() if some else "", *jobs]))  # noqa: S311 - a place
            moved += waiting
        return moved

    def park(self, queues: Sequence[str], jobs: Sequence[str]) -> int:
        """Park what waits in those queues that nobody serves and is none of these jobs; how many, a page of each."""
        return int(self._run("park", [len(queues), *queues, *jobs])) if queues else 0

    def manage(self, action: str, job_id: str, reason: str, keep_failed: int) -> tuple[str, str]:
        """retry, remove or cancel one job: ('ok', status before), ('missing', '') or ('refused', status)."""
        answer = [part.decode() for part in self._run("manage", [action, job_id, reason, keep_failed])]
        return answer[0], answer[1] if len(answer) > 1 else ""

    def move_dead(self, action: str, note: str, jobs: Sequence[tuple[str, str]]) -> list[int]:
        """replay or remove dead jobs, each (id, its ``ended_at`` as seen): 1 moved, 0 not dead since that moment."""
        return [int(answer) for answer in self._run("dead", [action, note, *(part for job in jobs for part in job)])]

    def define_limits(self, rules: Sequence[tuple[str, str]]) -> int:
        """What plugins say of queues' limits: (limit key, rule or ``none``) for each; how many that changed."""
        return self._limit("define", "", "", [(key, rule, "none") for key, rule in rules]) if rules else 0

    def edit_limits(self, subject: str, by: str, rules: Sequence[tuple[str, str, str]]) -> int:
        """Put (limit key, rule or ``none``, the definition's own rule or ``none``) over the definitions; how many."""
        return self._limit("set", by, subject, rules)

    def revert_limits(self, subject: str, by: str, keys: Sequence[str]) -> int:
        """End the edits of these limit keys; how many were edited."""
        return self._limit("revert", by, subject, [(key, "none", "none") for key in keys])

    def _limit(self, action: str, by: str, subject: str, rules: Sequence[tuple[str, str, str]]) -> int:
        return int(self._run("limit", [action, by, subject, *(part for rule in rules for part in rule)]))

    def pause(self, target: str, reason: str, until: datetime | None, by: str = "") -> None:
        """Pause ``queue:…``, ``job:…`` or ``company:…`` (the name quoted as in lanes)."""
        till = "" if until is None else str(round(until.timestamp() * 1000))
        self._run("pause", ["pause", target, reason, till, by])

    def resume(self, target: str) -> bool:
        """False when the target was not paused."""
        return bool(self._run("pause", ["resume", target, "", "", ""]))

    def await_news(self, queues: Sequence[str], timeout_s: float) -> bool:
        """Block until one of the queues has news or the time is over; True when there is news."""
        keys = [WAKE(queue) for queue in queues]
        with redis_errors():
            return self._clients.blocking.bzpopmin(keys, timeout=max(timeout_s, 0.001)) is not None

    def wake(self, queues: Sequence[str]) -> None:
        """Pass news on to another idle worker."""
        with redis_errors():
            pipeline = self._clients.quick.pipeline(transaction=False)
            for queue in queues:
                pipeline.zadd(WAKE(queue), {"1": 0})
            pipeline.execute()

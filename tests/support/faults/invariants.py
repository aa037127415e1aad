"""What holds after every fault, once all is quiet: I1 to I8, each a function that lists what broke it.

All of them: ``assert_invariants(gather(url, sink, log))``. I9, that workers come back, is ``live_workers``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import redis

from flowzz import clock
from flowzz.jobs.state import STATE_OF_RQ_STATUS, JobState
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from support.faults.census import Census, Ending, take_census
from support.faults.producing import Answer, ProducerLog, Try
from support.faults.sink import Commit, Run, Sink
from support.waiting import eventually

SHOWN = 5
OPEN = (JobState.WAITING, JobState.ACTIVE, JobState.DELAYED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """``tries`` by id, None when nobody kept a producer log: then every stored job counts as accepted."""

    census: Census
    runs: Sequence[Run]
    commits: Sequence[Commit]
    tries: dict[str, Try] | None

    @property
    def accepted(self) -> set[str]:
        if self.tries is None:
            return set(self.census.hashes)
        return {one.job_id for one in self.tries.values() if one.answer is Answer.ACK}

    def runs_of(self) -> dict[str, list[Run]]:
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[run.job_id].append(run)
        return found


def gather(redis_url: str, sink: Sink, log: ProducerLog | None = None) -> Evidence:
    """What Redis, the sink and the producer's log say now; call it when all is quiet."""
    with redis.Redis.from_url(redis_url) as raw:
        census = take_census(raw)
    return Evidence(census=census, runs=sink.runs(), commits=sink.commits(), tries=log.tries() if log else None)


def quiesced(queues: Queues, timeout: float = 60) -> None:
    """Wait until nothing waits, runs, is delayed, or waits for a parent that may still complete."""

    def open_jobs() -> dict[str, tuple[int, ...]]:
        stats = queues.stats(queues.queue_names())
        counts = {s.name: (s.waiting + s.paused, s.active, s.delayed, s.deferred) for s in stats}
        return {name: count for name, count in counts.items() if any(count)}

    last: list[dict[str, tuple[int, ...]]] = [{}]

    def quiet() -> bool:
        last[0] = open_jobs()
        return not last[0]

    try:
        eventually(quiet, timeout)
    except AssertionError:
        raise AssertionError(
            f"not quiet within {timeout:g} s: (waiting, active, delayed, deferred) {last[0]}"
        ) from None


def i1_accepted_jobs_are_in_one_place(evidence: Evidence) -> list[str]:
    """Lost, or in two places at once."""
    places = evidence.census.places
    lost = [f"{job_id} was accepted and is gone" for job_id in sorted(evidence.accepted - set(evidence.census.hashes))]
    nowhere = [
        f"{job_id} is stored as {status[0]!r} and stands nowhere"
        for job_id, status in evidence.census.hashes.items()
        if job_id not in places
    ]
    several = [f"{job_id} stands in {found}" for job_id, found in places.items() if len(found) > 1]
    return lost + nowhere + several + _misplaced(evidence.census)


def _misplaced(census: Census) -> list[str]:
    found = []
    for job_id, (status, _, _) in census.hashes.items():
        stated = {STATE_OF_RQ_STATUS.get(status)}
        if status == "deferred":
            stated = {JobState.PARKED, JobState.DEFERRED}
        found += [
            f"{job_id} says {status!r} and stands in {queue}'s {state}"
            for queue, state in census.places.get(job_id, [])
            if state not in stated
        ]
    return found


def i2_nothing_ends_in_silence(evidence: Evidence) -> list[str]:
    """Completed: its handler came to its end. Failed or canceled: with an error or a reason."""
    ended = {run.job_id for run in evidence.runs if run.ended is not None}
    silent = []
    for job_id, (status, error, note) in evidence.census.hashes.items():
        if status == "finished" and job_id not in ended:
            silent.append(f"{job_id} is completed though no run of it came to an end")
        if status in ("failed", "canceled") and not (error or note):
            silent.append(f"{job_id} is {status} without a reason")
    return silent


def i3_every_run_is_on_record(evidence: Evidence) -> list[str]:
    """Each start of a handler has its entry in the job's history, or its lease."""
    problems = []
    for job_id, runs in evidence.runs_of().items():
        known = {ending.execution for ending in evidence.census.history.get(job_id, ())}
        known |= {member.partition(":")[2] for member in evidence.census.leases if member.startswith(job_id + ":")}
        unknown = [run.execution for run in runs if run.execution not in known]
        if unknown:
            problems.append(f"{job_id} ran {len(runs)} times; executions {unknown} are not in its history {known}")
        twice = [execution for execution, times in Counter(run.execution for run in runs).items() if times > 1]
        if twice:
            problems.append(f"{job_id} started twice under one execution: {twice}")
    return problems


def i4_effects_are_committed_once(evidence: Evidence) -> list[str]:
    """A completed job has exactly one effect. (The sink refuses the second one, as a good upstream does.)"""
    effects = Counter(commit.job_id for commit in evidence.commits)
    return [
        f"{job_id} is completed with {effects[job_id]} effects"
        for job_id, (status, _, _) in evidence.census.hashes.items()
        if status == "finished" and effects[job_id] != 1
    ]


def i5_only_fenced_runs_overlap(evidence: Evidence) -> list[str]:
    """Of two runs at the same time the older one's settle did not count; and a job completes at most once."""
    problems = []
    for job_id, runs in evidence.runs_of().items():
        history = {ending.execution: ending for ending in evidence.census.history.get(job_id, ())}
        for older, newer in pairwise(runs):
            if _until(older, history) > newer.started and _counted(history.get(older.execution)):
                problems.append(
                    f"{job_id}: {newer.execution} (pid {newer.pid}) began while {older.execution} (pid {older.pid}) "
                    f"ran, whose settle counted as {history[older.execution].outcome}"
                )
        completions = [ending.execution for ending in history.values() if ending.outcome == "completed"]
        if len(completions) > 1:
            problems.append(f"{job_id} was completed by {completions}")
    return problems


def _until(run: Run, history: dict[str, Ending]) -> float:
    """A run that was settled as a crash ended then, though it could not say so."""
    if run.ended is not None:
        return run.ended
    return float("-inf") if _counted(history.get(run.execution)) else float("inf")


def _counted(ending: Ending | None) -> bool:
    return ending is not None and ending.outcome != "stalled"


def i6_unknown_enqueues_are_no_or_one_job(evidence: Evidence) -> list[str]:
    """Nothing is stored that nobody tried to enqueue."""
    if evidence.tries is None:
        return []
    refused = {one.job_id for one in evidence.tries.values() if one.answer is Answer.ERROR}
    ghosts = [f"{job_id} is stored though nobody tried it" for job_id in evidence.census.hashes.keys() - evidence.tries]
    return ghosts + [f"{job_id} is stored though it was refused" for job_id in refused & evidence.census.hashes.keys()]


def i7_counts_add_up(evidence: Evidence) -> list[str]:
    """What is stored stands somewhere, and the lanes count as many ids as the lists hold."""
    census = evidence.census
    problems = []
    if len(census.hashes) != sum(map(len, census.places.values())):
        problems.append(f"{len(census.hashes)} jobs are stored, {sum(map(len, census.places.values()))} places taken")
    waiting = Counter(queue for found in census.places.values() for queue, state in found if state is JobState.WAITING)
    for queue in set(waiting) | set(census.laned) | set(census.in_lanes):
        counts = waiting[queue], census.laned.get(queue, 0), census.in_lanes.get(queue, 0)
        if len(set(counts)) > 1:
            problems.append(f"{queue}: {counts[0]} waiting, counted {counts[1]} in lanes, which hold {counts[2]}")
    return problems


def i8_no_key_is_left_behind(evidence: Evidence) -> list[str]:
    """An id without its job, history or log without it, a slot or a duplicates key that nobody holds."""
    census = evidence.census
    problems = [f"{job_id} stands in {found} and has no hash" for job_id, found in census.places.items()
                if job_id not in census.hashes]  # fmt: skip
    for family in (keys.RESULTS, keys.LOG, keys.STEPS):
        problems += [f"{family(name)} is left of a job that is gone" for name in census.of(family) - set(census.hashes)]
    running = {f"{queue}|{member}" for member, queue in census.leases.items()}
    for limit, holders in census.slots.items():
        problems += [f"a slot of {limit} is held by {holder}, which does not run" for holder in holders - running]
    for key, job_id in census.unique.items():
        status = census.hashes.get(job_id, ("gone",))[0]
        if status in ("gone", "finished", "failed", "canceled"):
            problems.append(f"the duplicates key {key} is held by {job_id}, which is {status}")
    return problems + _orphans(census)


def _orphans(census: Census) -> list[str]:
    """Dependents of nobody, executions that do not run, registrations and answers that never expire."""
    problems = [
        f"{keys.DEPENDENCIES(name)} is left of a job that waits no more"
        for name in census.of(keys.DEPENDENCIES)
        if census.hashes.get(name, ("gone",))[0] != "deferred"
    ]
    for family in (keys.EXECUTION, keys.STEP):
        problems += [f"{key} never expires" for key in census.keys - census.expiring if key.startswith(family.prefix)]
    hashes = {key for key in census.keys if key.startswith(keys.WORKER.prefix) and not key.endswith(":executions")}
    return problems + [f"the registration {key} never expires" for key in hashes - census.expiring]


def live_workers(queues: Queues, within: timedelta) -> int:
    """I9: workers that gave a sign of life ``within`` this time."""
    since = clock.now() - within
    return sum(worker.last_heartbeat is not None and worker.last_heartbeat >= since for worker in queues.workers())


INVARIANTS: tuple[Callable[[Evidence], list[str]], ...] = (
    i1_accepted_jobs_are_in_one_place,
    i2_nothing_ends_in_silence,
    i3_every_run_is_on_record,
    i4_effects_are_committed_once,
    i5_only_fenced_runs_overlap,
    i6_unknown_enqueues_are_no_or_one_job,
    i7_counts_add_up,
    i8_no_key_is_left_behind,
)


def broken(evidence: Evidence, only: Sequence[Callable[[Evidence], list[str]]] = INVARIANTS) -> list[str]:
    """What breaks the invariants, each line with the invariant's name; at most five lines of each."""
    lines = []
    for invariant in only:
        problems = invariant(evidence)
        lines += [f"{invariant.__name__}: {problem}" for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"{invariant.__name__}: … and {len(problems) - SHOWN} more")
    return lines


def assert_invariants(
    evidence: Evidence, only: Sequence[Callable[[Evidence], list[str]]] = INVARIANTS, *, saying: str = ""
) -> None:
    """All of them hold. ``saying``: what to tell beside it (seed, role, point)."""
    problems = broken(evidence, only)
    if problems:
        raise AssertionError("\n".join([saying, *problems] if saying else problems))

"""Chaos: workers and producers under random kill -9 for a while, then peace; everything is counted at the end."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from support.faults.acts import PAUSE_VARIABLE, environment_of_producer
from support.faults.crashes import Lane
from support.faults.invariants import assert_invariants, gather, live_workers, quiesced
from support.faults.roles import Member
from support.waiting import eventually

WORKERS, PRODUCERS = 4, 2
EVERY_S = 0.2
BACK_WITHIN_S = 15
PATIENCE_S = 900
"""Ten thousand jobs on a machine with much else to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """What a run of chaos came to: jobs accepted, those of them that did not complete, effects tried twice."""

    jobs: int
    kills: int
    lost: int
    twice: int
    runs: int
    rescued: int


@dataclass(slots=True)
class Slot:
    """A place in which there is always a process of that role, until it has come to its end."""

    lane: Lane
    role: str
    number: int
    told: dict[str, str]
    member: Member

    @classmethod
    def fill(cls, lane: Lane, role: str, number: int, told: dict[str, str]) -> Slot:
        (lane.folder / f"{role}-{number}").mkdir(exist_ok=True)
        return cls(lane, role, number, told, _started(lane, role, number, told))

    def kill(self) -> None:
        self.member.kill()
        self.refill()

    def refill(self) -> None:
        """Another one, if it was killed."""
        if not self.member.alive and not self.member.finished:
            self.member = _started(self.lane, self.role, self.number, self.told)


def _started(lane: Lane, role: str, number: int, told: dict[str, str]) -> Member:
    return lane.start(role, lane.folder / f"{role}-{number}", lane.url, FLOWZZ_HOME=str(lane.folder / "home"), **told)


def rage(lane: Lane, *, jobs: int, seconds: float, seed: int) -> Toll:
    """``jobs`` jobs, random kills for ``seconds``; AssertionError, with the seed, when an invariant is broken."""
    try:
        return _rage(lane, jobs, seconds, random.Random(seed))
    except AssertionError as error:
        raise AssertionError(f"FLOWZZ_SEED={seed}: {error}") from error


def _rage(lane: Lane, jobs: int, seconds: float, chance: random.Random) -> Toll:
    lane.clear()
    workers = [Slot.fill(lane, "worker", number, {}) for number in range(WORKERS)]
    producers = [_producer(lane, number, jobs // PRODUCERS, seconds) for number in range(PRODUCERS)]
    kills, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        # The pace of the kills is the fault itself, nothing is waited for.
        time.sleep(EVERY_S)
        slot = chance.choice([one for one in workers + producers if not one.member.finished])
        slot.kill()
        kills += 1
    return _settle(lane, workers, producers, kills)


def _producer(lane: Lane, number: int, count: int, seconds: float) -> Slot:
    told = environment_of_producer(lane.log, lane.sink.path, f"p{number}", count)
    return Slot.fill(lane, "crowd", number, {**told, PAUSE_VARIABLE: str(0.5 * seconds / count)})


def _settle(lane: Lane, workers: Sequence[Slot], producers: Sequence[Slot], kills: int) -> Toll:
    """Peace: producers come to their end, workers are all back, everything is done; then it is counted."""
    for slot in [*workers, *producers]:
        slot.refill()
    for slot in producers:
        assert slot.member.wait(PATIENCE_S), f"a producer does not end:\n{slot.member.output()}"
        assert slot.member.finished, f"a producer broke:\n{slot.member.output()}"
    within = timedelta(seconds=2)
    eventually(
        lambda: live_workers(lane.app.queues, within) == WORKERS, BACK_WITHIN_S, saying=f"{WORKERS} workers live"
    )
    quiesced(lane.app.queues, PATIENCE_S)
    for slot in workers:
        assert slot.member.alive, f"a worker ended by itself:\n{slot.member.output()}"
        slot.member.kill()
    evidence = gather(lane.url, lane.sink, lane.log)
    assert_invariants(evidence)
    hashes = evidence.census.hashes
    return Toll(
        jobs=len(evidence.accepted),
        kills=kills,
        lost=sum(hashes.get(job_id, ("gone",))[0] != "finished" for job_id in evidence.accepted),
        twice=sum(commit.refused > 0 for commit in evidence.commits),
        runs=len(evidence.runs),
        rescued=sum(ending.was_lost for history in evidence.census.history.values() for ending in history),
    )

"""Chaos with plain RQ: the same number of workers and producers, kills and jobs as ``chaos`` has."""

from __future__ import annotations

import random
import time

from support.faults.acts import BURST_VARIABLE, PAUSE_VARIABLE, environment_of_producer
from support.faults.chaos import EVERY_S, PRODUCERS, WORKERS, Slot
from support.faults.crashes import Lane
from support.faults.producing import Answer
from support.faults.stock_jobs import let_time_pass
from support.waiting import eventually

QUEUES = ("alpha", "beta")
RECOVERIES = 3


def rage_of_stock(lane: Lane, *, jobs: int, seconds: float, seed: int) -> str:
    """What it came to, as a sentence: accepted, kills, lost, twice."""
    lane.clear()
    chance, told = random.Random(seed), {"FLOWZZ_QUEUES": ",".join(QUEUES)}
    workers = [Slot.fill(lane, "stock_worker", number, told) for number in range(WORKERS)]
    producers = [_producer(lane, number, jobs // PRODUCERS, seconds) for number in range(PRODUCERS)]
    kills, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(EVERY_S)
        chance.choice([one for one in workers + producers if not one.member.finished]).kill()
        kills += 1
    for slot in [*workers, *producers]:
        slot.refill()
    for slot in producers:
        assert slot.member.wait(300), slot.member.output()
    eventually(lambda: not any(lane.raw.llen(f"rq:queue:{queue}") for queue in QUEUES), 3600)
    for slot in workers:
        slot.member.signal(15)
        assert slot.member.wait(60)
    for _ in range(RECOVERIES):
        let_time_pass(lane.raw, QUEUES)
        helper = lane.role("stock_worker", **told, **{BURST_VARIABLE: "1"})
        assert helper.wait(300), helper.output()
    accepted = {one.job_id for one in lane.log.tries().values() if one.answer is Answer.ACK}
    effects = lane.sink.commits()
    lost = accepted - {commit.job_id for commit in effects}
    twice = sum(commit.refused > 0 for commit in effects)
    return f"{len(accepted)} jobs accepted, {kills} kills, {len(lost)} lost, {twice} with a second effect"


def _producer(lane: Lane, number: int, count: int, seconds: float) -> Slot:
    told = environment_of_producer(lane.log, lane.sink.path, f"p{number}", count)
    return Slot.fill(lane, "stock_crowd", number, {**told, PAUSE_VARIABLE: str(0.5 * seconds / count)})

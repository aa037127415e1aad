"""Durable steps, snoozing and handing a job back: what a handler did is not done again, and no attempt is wasted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from flowzz.app import Flowzz
from flowzz.errors import DuplicateStep, LeaseLost, Permanent
from flowzz.jobs.state import JobState
from flowzz.jobs.steps import LARGEST_RESULT, Steps
from flowzz.queues import keys
from flowzz.queues.dead import DeadLetters
from flowzz.workers import Worker
from support.engine import new_job, step
from support.processes import role
from support.waiting import eventually

SOON = timedelta(seconds=90)
BOTH = {"first": {"pages": 1, "attempt": 0}, "second": {"pages": 2, "attempt": 0}}


@contextmanager
def working(app: Flowzz) -> Iterator[Worker]:
    worker = Worker(app)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


def sent(folder: Path) -> list[str]:
    file = folder / "log"
    return [line.partition(" ")[2] for line in file.read_text().splitlines()] if file.exists() else []


def test_a_retry_does_not_repeat_a_step_that_finished(app: Flowzz, tmp_path: Path) -> None:
    with working(app):
        job = app.queues.wait(app.enqueue("probe.steps", {"folder": str(tmp_path), "failUntil": 2}), SOON)
    assert (job.state, job.attempts_made, job.result) == (JobState.COMPLETED, 3, BOTH)
    assert sent(tmp_path) == ["send 1", "send 2"]


def test_a_replay_of_a_dead_job_does_not_repeat_it_either(app: Flowzz, tmp_path: Path) -> None:
    with working(app):
        job_id = app.enqueue("probe.steps", {"folder": str(tmp_path), "failUntil": 3})
        assert app.queues.wait(job_id, SOON).state is JobState.FAILED
        DeadLetters(app.queues).replay()
        eventually(lambda: len(app.queues.attempts(job_id)) == 6)
    assert sent(tmp_path) == ["send 1"]


def test_results_survive_the_kill_of_their_worker(app: Flowzz, home: Path, redis_url: str, tmp_path: Path) -> None:
    job_id = app.enqueue("probe.steps", {"folder": str(tmp_path), "raises": "block"})
    with role("worker", home, redis_url) as worker:
        eventually(lambda: app.queues.transitions.recall(job_id).keys() == {"send-1", "send-2"})
        worker.kill()
        worker.wait()
    (tmp_path / "go").touch()
    with role("worker", home, redis_url):
        job = app.queues.wait(job_id, SOON)
    assert (job.state, job.stalled_count, job.result) == (JobState.COMPLETED, 1, BOTH)
    assert sent(tmp_path) == ["send 1", "send 2"]


def test_the_same_name_twice_in_a_run_fails_for_good(app: Flowzz, tmp_path: Path) -> None:
    with working(app):
        job = app.queues.wait(app.enqueue("probe.steps", {"folder": str(tmp_path), "raises": "duplicate"}), SOON)
    assert (job.state, job.attempts_made) == (JobState.FAILED, 1)
    assert job.error is not None
    assert (job.error.type, "'send-1' was begun twice" in job.error.message) == ("DuplicateStep", True)


def test_a_snoozed_job_runs_again_later_without_using_an_attempt(app: Flowzz, tmp_path: Path) -> None:
    with working(app):
        job = app.queues.wait(app.enqueue("probe.steps", {"folder": str(tmp_path), "raises": "snooze"}), SOON)
    assert (job.state, job.attempts_made, job.checkpoint) == (JobState.COMPLETED, 1, {"snoozed": True})
    first, _ = app.queues.attempts(job.id)
    assert (first.outcome, first.note) == ("postponed", "the report is not ready")
    assert sent(tmp_path) == ["send 1", "send 2"]


def test_a_handler_that_stops_with_its_worker_goes_to_the_front_at_once(app: Flowzz, tmp_path: Path) -> None:
    job_id = app.enqueue("probe.steps", {"folder": str(tmp_path), "raises": "block"})
    with working(app):
        eventually(lambda: sent(tmp_path) == ["send 1", "send 2"])
        behind = app.enqueue("probe.steps", {})
        app.queues.pause("probe", "so that it stays behind")
    waiting = app.queues.jobs("probe", JobState.WAITING).items
    assert waiting[0].id == job_id
    assert {job.id for job in waiting} <= {job_id, behind}
    assert (waiting[0].attempts_made, waiting[0].note) == (0, "the worker is stopping")
    assert app.queues.attempts(job_id)[0].outcome == "released"


def test_one_that_gives_itself_back_while_nobody_stops_does_not_spin(app: Flowzz) -> None:
    with working(app):
        job_id = app.enqueue("probe.steps", {"raises": "release"})
        eventually(lambda: app.queues.attempts(job_id))
        job = app.queues.job(job_id)
    assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["postponed"]
    assert (job.state, job.attempts_made) == (JobState.DELAYED, 0)


def test_what_is_remembered_counts_only_under_the_lease(app: Flowzz, redis_url: str) -> None:
    app.queues.transitions.enqueue([new_job("a")])
    (claim,) = step(app.queues).claims
    assert app.queues.transitions.remember(claim, "send", "1")
    assert app.queues.transitions.remember(claim, "send", "1"), "a repeat is no second step"
    with redis.Redis.from_url(redis_url) as raw:
        raw.zrem(keys.WIP("sync"), f"a:{claim.execution_id}")
    assert not app.queues.transitions.remember(claim, "late", "2")
    assert app.queues.transitions.recall("a") == {"send": "1"}


def test_results_go_with_the_job(app: Flowzz, redis_url: str) -> None:
    with working(app):
        job = app.queues.wait(app.enqueue("probe.steps", {}), SOON)
    with redis.Redis.from_url(redis_url) as raw:
        assert raw.exists(keys.STEPS(job.id))
        app.queues.remove(job.id)
        assert not raw.exists(keys.STEPS(job.id))


class Memory:
    """A StepMemory of this process; ``lost`` makes it another worker's."""

    def __init__(self, lost: bool = False) -> None:
        self.kept: dict[str, str] = {}
        self.lost = lost

    def recall(self) -> Mapping[str, str]:
        return self.kept

    def remember(self, name: str, result: str) -> None:
        if self.lost:
            raise LeaseLost
        self.kept[name] = result


@pytest.mark.parametrize("value", [None, 0, "", [1, {"a": None}], {"ç": 1.5}])
def test_the_first_run_and_later_ones_get_the_same_value(value: Any) -> None:
    memory = Memory()
    assert Steps(memory).run("a", lambda: value, (), {}) == value
    assert Steps(memory).run("a", lambda: pytest.fail("done again"), (), {}) == value
    assert json.loads(memory.kept["a"]) == value


@pytest.mark.parametrize(
    ("name", "function", "error"),
    [
        ("", lambda: 1, Permanent),
        ("x" * 201, lambda: 1, Permanent),
        ("big", lambda: "x" * LARGEST_RESULT, Permanent),
        ("odd", object, TypeError),
        ("nan", lambda: float("nan"), ValueError),
    ],
)
def test_what_cannot_be_kept_is_refused(name: str, function: Callable[[], Any], error: type[Exception]) -> None:
    memory = Memory()
    with pytest.raises(error):
        Steps(memory).run(name, function, (), {})
    assert memory.kept == {}


def test_a_step_that_raised_may_be_done_by_the_next_run_and_a_lost_lease_shows() -> None:
    memory = Memory()
    steps = Steps(memory)
    with pytest.raises(ZeroDivisionError):
        steps.run("a", lambda: 1 / 0, (), {})
    with pytest.raises(DuplicateStep):
        steps.run("a", lambda: 1, (), {})
    assert Steps(memory).run("a", lambda: 1, (), {}) == 1
    with pytest.raises(LeaseLost):
        Steps(Memory(lost=True)).run("a", lambda: 1, (), {})

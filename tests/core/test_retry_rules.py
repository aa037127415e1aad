"""Jobs whose policy depends on the error, run by a worker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.retry import Fixed
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from support.rough import Rough
from support.working import working


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of(["support.rough:plugin"])) as opened:
        opened.store.migrate()
        yield opened


@pytest.mark.parametrize(
    ("raises", "asked", "runs"),
    [
        ("RuntimeError", None, 2),
        ("RuntimeError", 3, 3),
        ("ValueError", None, 1),
        ("UnicodeError", None, 1),
        ("ConnectionError", None, 4),
        ("ConnectionError", 2, 2),
        ("OverflowError", None, 3),
    ],
)
def test_the_error_decides_how_often_a_job_runs(app: Flowzz, raises: str, asked: int | None, runs: int) -> None:
    with working(app):
        job_id = app.enqueue("rough.ruled", {"how": raises}, EnqueueOptions(attempts=asked))
        ended = app.queues.wait(job_id, timedelta(seconds=90))
    assert (ended.state, ended.attempts_made) == (JobState.FAILED, runs)
    assert ended.attempts_made <= ended.max_attempts


def test_a_broken_custom_policy_fails_the_job_with_both_errors(app: Flowzz) -> None:
    with working(app):
        ended = app.queues.wait(app.enqueue("rough.ruled", {"how": "ZeroDivisionError"}), timedelta(seconds=90))
    assert (ended.state, ended.attempts_made) == (JobState.FAILED, 1)
    assert ended.error is not None
    assert ended.error.message == "as told (and its retry policy failed: RuntimeError: a broken policy)"


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"ValueError": Fixed()}, "expected the keys of retry_on to be exception classes, got 'ValueError'"),
        ({ValueError: 3}, r"expected retry_on\[ValueError\] to be a retry policy, got 3"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[Any, Any], problem: str) -> None:
    def handler(ctx: JobContext, data: Rough) -> None:
        """Never runs."""

    with pytest.raises(ConfigurationError, match=problem):
        job("rough.wrong", queue="rough", retry_on=rules)(handler)

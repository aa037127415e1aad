"""``rq.job.Job`` shows retries, errors and meta of our jobs right in every state."""

from __future__ import annotations

import warnings

import pytest
import redis
from rq.job import Job
from rq.results import Result

from flowzz.queues.engine import Queues
from flowzz.queues.reading import pack_text
from rq_contract.conftest import Fetch
from support.engine import completed, ended, new_job, step
from support.waiting import eventually

BROKEN = "Traceback …\nValueError: broken"


def counters(job: Job) -> tuple[int | None, int | None]:
    return job.retries_left, job.number_of_retries


def exc_info(job: Job) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return job.exc_info


def test_retries_count_down_from_run_to_run(queues: Queues, raw: redis.Redis, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a", attempts=3)])
    assert counters(fetch("a")) == (2, None)
    for left, made in ((1, 1), (0, 2)):
        (claim,) = eventually(lambda: step(queues).claims)
        assert counters(fetch("a"))[0] == left + 1
        step(queues, ended(claim, "retrying", body=pack_text(BROKEN)), want=0)
        job = fetch("a")
        assert (job.is_scheduled, counters(job)) == (True, (left, made))
        latest = job.latest_result()
        assert latest is not None
        assert (latest.type, latest.exc_string) == (Result.Type.RETRIED, BROKEN)
    (claim,) = eventually(lambda: step(queues).claims)
    step(queues, ended(claim, "failed", body=pack_text(BROKEN)))
    job = fetch("a")
    assert (job.is_failed, counters(job), exc_info(job)) == (True, (0, 2), BROKEN)
    assert [result.type for result in job.results()] == [Result.Type.FAILED, Result.Type.RETRIED, Result.Type.RETRIED]


@pytest.mark.parametrize("kind", ["postponed", "released"])
def test_what_uses_no_attempt_uses_no_retry(queues: Queues, fetch: Fetch, kind: str) -> None:
    queues.transitions.enqueue([new_job("a", attempts=3)])
    (claim,) = step(queues).claims
    step(queues, ended(claim, kind, delay_ms=60_000), want=0)
    assert counters(fetch("a")) == (2, None)


def test_a_completed_job_shows_its_result_and_no_error(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, completed(claim, {"synced": 3}))
    job = fetch("a")
    assert (job.return_value(), exc_info(job), job.meta) == ({"synced": 3}, None, {})


def test_our_retry_gives_the_retries_back(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a", attempts=2)])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "retrying"), want=0)
    (claim,) = eventually(lambda: step(queues).claims)
    step(queues, ended(claim, "failed"))
    queues.retry("a")
    assert counters(fetch("a")) == (1, 0)


def test_meta_that_plain_rq_stores_is_kept(queues: Queues, fetch: Fetch) -> None:
    queues.transitions.enqueue([new_job("a")])
    job = fetch("a")
    job.meta["ticket"] = 17
    job.save_meta()
    (claim,) = step(queues).claims
    step(queues, completed(claim))
    assert fetch("a").meta == {"ticket": 17}

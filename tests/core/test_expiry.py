"""Jobs that may not start after a moment: they end as canceled, with the outcome 'expired', and never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import redis

from flowzz import Plugin, Unique, hookimpl
from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.errors import ConfigurationError, InvalidRequest
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.settings import Settings
from support.engine import ended, step
from support.waiting import eventually

HOUR = timedelta(hours=1)


class Message(Payload):
    text: str = ""


@job("late.send", queue="late")
def send(ctx: JobContext, data: Message) -> None:
    """Nothing declared."""


@job("late.code", queue="late", expires_after=HOUR, duplicates=Unique())
def code(ctx: JobContext, data: Message) -> None:
    """Of no use after an hour."""


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [send, code]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    host = PluginHost.of([Plugin(name="late", title="Late", api=">=1,<2", hooks=Hooks())])
    with Flowzz.open(settings, plugins=host) as opened:
        opened.store.migrate()
        yield opened


def claimed(app: Flowzz, want: int = 10) -> list[str]:
    return [claim.job_id for claim in step(app.queues, want=want, served=("late",)).claims]


def let_expire(raw: redis.Redis, *ids: str) -> None:
    for job_id in ids:
        assert raw.hexists(keys.JOB(job_id), "flowzz_expires")
        raw.hset(keys.JOB(job_id), "flowzz_expires", "1000")


def test_a_job_that_has_not_started_by_then_is_canceled_and_says_so(app: Flowzz, raw: redis.Redis) -> None:
    late = app.enqueue("late.send", {}, EnqueueOptions(expires=HOUR))
    let_expire(raw, late)
    other = app.enqueue("late.send", {})
    assert claimed(app) == [other]
    record = app.queues.job(late)
    assert (record.state, record.note) == (
        JobState.CANCELED, "expired: it could not start by 1970-01-01T00:00:01.000000Z",
    )  # fmt: skip
    assert [(entry.outcome, entry.note) for entry in app.queues.attempts(late)] == [("expired", record.note)]
    assert record.ended_at is not None
    stats = app.queues.stats(["late"])[0]
    assert (stats.canceled, stats.waiting, stats.active) == (1, 0, 1)


@pytest.mark.parametrize("as_moment", [False, True])
def test_before_its_moment_it_runs(app: Flowzz, raw: redis.Redis, as_moment: bool) -> None:
    made = app.enqueue("late.send", {}, EnqueueOptions(expires=now() + HOUR if as_moment else HOUR))
    stored = float(raw.hget(keys.JOB(made), "flowzz_expires") or 0) / 1000
    assert abs(stored - (now() + HOUR).timestamp()) < 60
    assert claimed(app) == [made]


def test_a_delayed_job_that_has_expired_does_not_start_to_wait(app: Flowzz, raw: redis.Redis) -> None:
    late = app.enqueue("late.send", {}, EnqueueOptions(delay=HOUR, expires=2 * HOUR))
    let_expire(raw, late)
    raw.zadd(keys.SCHEDULED("late"), {late: 1})
    before = app.enqueue("late.send", {})
    assert claimed(app, want=1) == [before], "nothing but the promotion looked at the late one"
    assert app.queues.job(late).state is JobState.CANCELED
    assert raw.zcard(keys.SCHEDULED("late")) == 0


def test_a_retry_does_not_begin_after_it_either(app: Flowzz, raw: redis.Redis) -> None:
    made = app.enqueue("late.send", {}, EnqueueOptions(expires=HOUR))
    (claim,) = step(app.queues, served=("late",)).claims
    let_expire(raw, made)
    step(app.queues, ended(claim, "retrying"), served=("late",))
    assert eventually(lambda: claimed(app) == [] and app.queues.job(made).state is JobState.CANCELED)
    assert [entry.outcome for entry in app.queues.attempts(made)] == ["retrying", "expired"]


def test_a_running_job_is_left_alone(app: Flowzz, raw: redis.Redis) -> None:
    made = app.enqueue("late.send", {}, EnqueueOptions(expires=HOUR))
    (claim,) = step(app.queues, served=("late",)).claims
    let_expire(raw, made)
    assert step(app.queues, ended(claim, "completed"), served=("late",)).verdicts == [1]
    assert app.queues.job(made).state is JobState.COMPLETED


def test_thousands_that_expired_are_ended_in_bounded_steps(app: Flowzz, raw: redis.Redis) -> None:
    made = app.enqueue_many([("late.send", {}, EnqueueOptions(expires=HOUR))] * 1200)
    let_expire(raw, *(one.id for one in made))
    last = app.enqueue("late.send", {})
    assert claimed(app, want=1) == []
    assert app.queues.stats(["late"])[0].waiting == 201
    assert app.queues.transitions.await_news(["late"], 1)
    assert claimed(app, want=1) == [last]


def test_the_job_s_own_expiry_counts_from_when_it_may_run(app: Flowzz, raw: redis.Redis) -> None:
    def hours(text: str, options: EnqueueOptions | None) -> int:
        made = app.enqueue("late.code", {"text": text}, options)
        left = float(raw.hget(keys.JOB(made), "flowzz_expires") or 0) / 1000 - now().timestamp()
        return round(left / 3600)

    assert hours("a", None) == 1
    assert hours("b", EnqueueOptions(delay=2 * HOUR)) == 3
    assert hours("c", EnqueueOptions(run_at=now() + 5 * HOUR)) == 6
    assert hours("d", EnqueueOptions(expires=4 * HOUR)) == 4


def test_a_person_s_retry_takes_the_expiry_off(app: Flowzz, raw: redis.Redis) -> None:
    late = app.enqueue("late.send", {}, EnqueueOptions(expires=HOUR))
    let_expire(raw, late)
    assert claimed(app) == []
    app.queues.retry(late)
    assert claimed(app) == [late]


def test_an_expired_job_stands_in_nobody_s_way(app: Flowzz, raw: redis.Redis) -> None:
    first = app.submit("late.code", {})
    let_expire(raw, first.id)
    second = app.submit("late.code", {})
    assert second.created
    assert claimed(app) == [second.id]
    assert app.submit("late.code", {}).id == second.id


def test_an_expiry_frees_the_key(app: Flowzz, raw: redis.Redis) -> None:
    let_expire(raw, app.enqueue("late.code", {}))
    assert claimed(app) == []
    assert raw.hlen(keys.UNIQUE()) == 0


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="time zone"):
        EnqueueOptions(expires=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose
    with pytest.raises(InvalidRequest, match="1 ms or more"):
        EnqueueOptions(expires=timedelta(0))
    with pytest.raises(InvalidRequest, match="expire before it may run"):
        EnqueueOptions(expires=HOUR, delay=HOUR)
    with pytest.raises(ConfigurationError, match=r"late\.x: expected expires_after"):
        job("late.x", queue="late", expires_after=timedelta(0))(send.handler)

"""Unique, throttled and debounced jobs: who gets the earlier job's id, and when a key makes room again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis

from flowzz import Plugin, Schedule, hookimpl
from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.errors import ConfigurationError, InvalidRequest
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Debounce, Throttle, Unique
from flowzz.jobs.options import Enqueued, EnqueueOptions
from flowzz.jobs.payload import Payload
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.claims import Claim
from flowzz.queues.dead import DeadLetters
from flowzz.settings import Settings
from support.engine import completed, ended, failure_text, step
from support.waiting import eventually

HOUR = timedelta(hours=1)
TTL = timedelta(seconds=2)


class Sync(Payload):
    empresa_id: str | None = None
    account: str = "a"
    text: str = ""


@job("dup.unique", queue="dup", duplicates=Unique(by=("empresa_id",)))
def unique(ctx: JobContext, data: Sync) -> None:
    """Unique by company."""


@job("dup.whole", queue="dup", duplicates=Unique())
def whole(ctx: JobContext, data: Sync) -> None:
    """Unique by its whole payload."""


@job("dup.throttled", queue="dup", duplicates=Throttle(TTL, by=("account",)))
def throttled(ctx: JobContext, data: Sync) -> None:
    """One a while."""


@job("dup.debounced", queue="dup", duplicates=Debounce(HOUR, by=("account",), max_wait=2 * HOUR))
def debounced(ctx: JobContext, data: Sync) -> None:
    """The last one."""


@job("dup.plain", queue="dup")
def plain(ctx: JobContext, data: Sync) -> None:
    """Nothing declared."""


class Hooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [unique, whole, throttled, debounced, plain]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    host = PluginHost.of([Plugin(name="dup", title="Dup", api=">=1,<2", hooks=Hooks())])
    with Flowzz.open(settings, plugins=host) as opened:
        opened.store.migrate()
        yield opened


def sync(app: Flowzz, name: str = "dup.unique", **payload: str) -> Enqueued:
    return app.submit(name, {"empresaId": "loja-1", **payload})


def claim(app: Flowzz) -> Claim:
    (claimed,) = step(app.queues, want=1, served=("dup",)).claims
    return claimed


def settle(app: Flowzz, claimed: Claim, kind: str = "completed", **more: int) -> None:
    settlement = completed(claimed) if kind == "completed" else ended(claimed, kind, note="dup.unique", **more)
    assert step(app.queues, settlement, want=0, served=("dup",)).verdicts == [1]


class TestUnique:
    def test_a_second_one_is_the_first_one_while_that_waits_or_runs(self, app: Flowzz) -> None:
        first = sync(app)
        assert first.created
        assert sync(app) == Enqueued(first.id, created=False)
        assert app.enqueue("dup.unique", {"empresaId": "loja-1"}) == first.id
        claimed = claim(app)
        assert sync(app) == Enqueued(first.id, created=False)
        settle(app, claimed, "retrying", delay_ms=3_600_000)
        assert sync(app) == Enqueued(first.id, created=False)
        assert app.queues.stats(["dup"])[0].delayed == 1

    def test_a_parked_one_counts(self, app: Flowzz) -> None:
        first = sync(app)
        settle(app, claim(app), "parked")
        assert sync(app) == Enqueued(first.id, created=False)

    @pytest.mark.parametrize("kind", ["completed", "failed", "canceled"])
    def test_the_end_makes_room_and_leaves_no_key(self, app: Flowzz, raw: redis.Redis, kind: str) -> None:
        first = sync(app)
        settle(app, claim(app), kind)
        assert raw.hlen(keys.UNIQUE()) == 0
        second = sync(app)
        assert second.created
        assert second.id != first.id

    @pytest.mark.parametrize("action", ["cancel", "remove"])
    def test_a_person_who_ends_it_makes_room(self, app: Flowzz, raw: redis.Redis, action: str) -> None:
        getattr(app.queues, action)(sync(app).id)
        assert raw.hlen(keys.UNIQUE()) == 0
        assert sync(app).created

    def test_a_job_that_stalls_too_often_makes_room(self, app: Flowzz, raw: redis.Redis) -> None:
        sync(app)
        for _ in range(2):
            claimed = claim(app)
            raw.zadd(keys.WIP("dup"), {f"{claimed.job_id}:{claimed.execution_id}": 1})
            app.queues.transitions.rescue(limit=9, keep_failed=9, failure_text=failure_text(), max_stalled=1)
        assert raw.hlen(keys.UNIQUE()) == 0
        assert sync(app).created

    def test_the_end_of_a_job_takes_no_key_that_became_another_s(self, app: Flowzz, raw: redis.Redis) -> None:
        claimed = (sync(app), claim(app))[1]
        (key,) = raw.hkeys(keys.UNIQUE())
        raw.hset(keys.UNIQUE(), key, "somebody-else")
        settle(app, claimed)
        assert raw.hget(keys.UNIQUE(), key) == b"somebody-else"

    def test_a_job_that_vanished_blocks_nobody(self, app: Flowzz, raw: redis.Redis) -> None:
        first = sync(app)
        raw.delete(keys.JOB(first.id))
        second = sync(app)
        assert second.created
        assert sync(app) == Enqueued(second.id, created=False)

    def test_a_failed_job_that_is_retried_has_its_key_again(self, app: Flowzz) -> None:
        first = sync(app)
        settle(app, claim(app), "failed")
        app.queues.retry(first.id)
        assert sync(app) == Enqueued(first.id, created=False)

    def test_other_fields_companies_and_jobs_are_not_the_same(self, app: Flowzz) -> None:
        made = [
            sync(app, account="a"),
            sync(app, account="b"),
            app.submit("dup.unique", {"empresaId": "loja-2"}),
            app.submit("dup.unique", {}),
            sync(app, "dup.plain"),
            sync(app, "dup.plain"),
        ]
        assert [one.created for one in made] == [True, False, True, True, True, True]

    def test_without_fields_the_whole_payload_counts(self, app: Flowzz) -> None:
        made = [sync(app, "dup.whole", text=text) for text in ("a", "b", "a")]
        assert [one.created for one in made] == [True, True, False]

    def test_a_key_of_the_caller_takes_the_place_of_the_fields(self, app: Flowzz) -> None:
        def keyed(name: str, key: str, account: str) -> bool:
            options = EnqueueOptions(unique_key=key)
            return app.submit(name, {"empresaId": "loja-1", "account": account}, options).created

        assert [keyed("dup.plain", "order-7", account) for account in "ab"] == [True, False]
        assert keyed("dup.plain", "order-8", "a")
        assert [keyed("dup.unique", "order-7", account) for account in "ab"] == [True, False]
        assert sync(app).created

    def test_of_many_callers_at_once_one_wins(self, app: Flowzz) -> None:
        gate = threading.Barrier(8)

        def race(_: int) -> Enqueued:
            gate.wait(60)
            return sync(app)

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(race, range(8)))
        assert sum(one.created for one in made) == 1
        assert len({one.id for one in made}) == 1

    def test_a_repeat_whose_answer_was_lost_is_still_the_same_job(self, app: Flowzz) -> None:
        options = EnqueueOptions(job_id="mine", nonce="once")
        made = [app.submit("dup.unique", {"empresaId": "loja-1"}, options) for _ in range(2)]
        assert made == [Enqueued("mine", created=True), Enqueued("mine", created=False)]

    def test_a_schedule_does_not_add_to_a_backlog(self, app: Flowzz) -> None:
        schedule = Schedule(
            name="dup.unique", job="dup.unique", cron="* * * * *", payloads=lambda store: [Sync(empresa_id="loja-1")]
        )
        assert [app.fire(schedule, now() + timedelta(minutes=n)).jobs for n in range(3)] == [1, 0, 0]
        assert app.queues.stats(["dup"])[0].waiting == 1


class TestThrottle:
    def test_for_a_while_after_the_first_all_are_the_first(self, app: Flowzz) -> None:
        first = sync(app, "dup.throttled")
        settle(app, claim(app))
        assert sync(app, "dup.throttled") == Enqueued(first.id, created=False)
        assert sync(app, "dup.throttled", account="b").created
        assert eventually(lambda: sync(app, "dup.throttled").created)

    def test_one_that_a_person_took_back_does_not_count(self, app: Flowzz) -> None:
        app.queues.cancel(sync(app, "dup.throttled").id)
        assert sync(app, "dup.throttled").created

    def test_one_that_a_person_removed_from_the_dead_letters_does_not_count(self, app: Flowzz) -> None:
        sync(app, "dup.throttled")
        settle(app, claim(app), "failed")
        assert DeadLetters(app.queues).remove().moved == 1
        assert sync(app, "dup.throttled").created


class TestDebounce:
    def test_the_last_payload_wins_and_puts_it_off(self, app: Flowzz, raw: redis.Redis) -> None:
        first = sync(app, "dup.debounced", text="one")
        raw.zadd(keys.SCHEDULED("dup"), {first.id: now().timestamp() + 60})
        assert sync(app, "dup.debounced", text="two") == Enqueued(first.id, created=False)
        record = app.queues.job(first.id)
        assert record.payload["text"] == "two"
        assert record.due_at is not None
        assert abs(record.due_at - now() - HOUR) < timedelta(seconds=20)
        assert app.queues.stats(["dup"])[0].delayed == 1

    def test_it_is_put_off_no_further_than_max_wait(self, app: Flowzz, raw: redis.Redis) -> None:
        first = sync(app, "dup.debounced")
        soon = now() + timedelta(minutes=5)
        raw.hset(keys.JOB(first.id), "flowzz_debounce_until", str(int(soon.timestamp() * 1000)))
        sync(app, "dup.debounced", text="last")
        record = app.queues.job(first.id)
        assert record.due_at is not None
        assert abs(record.due_at - soon) < timedelta(seconds=1)
        assert record.payload["text"] == "last"

    @pytest.mark.parametrize("moved", ["waits", "runs", "is retried"])
    def test_what_has_begun_is_left_alone(self, app: Flowzz, raw: redis.Redis, moved: str) -> None:
        first = sync(app, "dup.debounced", text="one")
        raw.zadd(keys.SCHEDULED("dup"), {first.id: 1})
        claimed = step(app.queues, want=1, served=("dup",)).claims[0]
        if moved != "runs":
            settle(app, claimed, "released" if moved == "waits" else "retrying", delay_ms=3_600_000)
        second = sync(app, "dup.debounced", text="two")
        assert second.created
        assert app.queues.job(first.id).payload["text"] == "one"
        assert sync(app, "dup.debounced", text="three") == Enqueued(second.id, created=False)

    def test_a_repeat_of_the_first_enqueue_changes_nothing(self, app: Flowzz) -> None:
        options = EnqueueOptions(job_id="mine", nonce="once")
        app.submit("dup.debounced", {"text": "one"}, options)
        app.submit("dup.debounced", {"text": "two"})
        assert app.submit("dup.debounced", {"text": "one"}, options) == Enqueued("mine", created=False)
        assert app.queues.job("mine").payload["text"] == "two"


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (Unique(by=("nobody",)), "has no field 'nobody'"),
        (Unique(by="empresa_id"), "expected by to be a tuple"),  # type: ignore[arg-type]
        (Throttle(timedelta(0)), "expected ttl to be 1 ms or more"),
        (Debounce(HOUR, max_wait=TTL), "expected max_wait to be no less than delay"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_with_the_job_s_name(
    policy: Unique | Throttle | Debounce, problem: str
) -> None:
    def handler(ctx: JobContext, data: Sync) -> None: ...

    declare: Callable[..., object] = job("dup.wrong", queue="dup", duplicates=policy)
    with pytest.raises(ConfigurationError, match=problem) as error:
        declare(handler)
    assert "dup.wrong" in str(error.value)


def test_a_caller_s_key_has_a_length() -> None:
    with pytest.raises(InvalidRequest, match="uniqueKey"):
        EnqueueOptions(unique_key="x" * 201)


def test_an_earlier_job_keeps_its_state(app: Flowzz) -> None:
    first = sync(app)
    sync(app)
    assert app.queues.job(first.id).state is JobState.WAITING

"""Limits as a plugin declares them, and the one call that says why a job is not running."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError, InvalidRequest
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import JobDefinition, job
from flowzz.jobs.limits import Concurrency, RateLimit, limit_key
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.explain import Reason
from flowzz.queues.pauses import PauseKind
from flowzz.settings import Settings
from support.engine import step
from support.probe import plugin
from support.waiting import eventually
from support.working import working

SOON = timedelta(seconds=90)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


def test_a_worker_starts_no_more_in_a_window_than_the_rate_admits(app: Flowzz, tmp_path: Path) -> None:
    ids = [app.enqueue("probe.limited", {"folder": str(tmp_path), "empresaId": f"loja-{n}"}) for n in range(5)]
    with working(app):
        jobs = [app.queues.wait(job_id, SOON) for job_id in ids]
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    starts = sorted(job.started_at for job in jobs if job.started_at)
    assert all(later - first >= timedelta(milliseconds=299) for first, later in zip(starts, starts[2:], strict=False))


def test_a_throttled_job_may_hold_its_limit_for_the_others(app: Flowzz, tmp_path: Path) -> None:
    first = app.enqueue("probe.limited", {"folder": str(tmp_path), "raises": "hold", "empresaId": "a"})
    with working(app):
        eventually(lambda: app.queues.attempts(first))
        second = app.enqueue("probe.limited", {"folder": str(tmp_path), "empresaId": "b"})
        done = [app.queues.wait(job_id, SOON) for job_id in (first, second)]
    assert [job.attempts_made for job in done] == [1, 1]
    held = app.queues.attempts(first)[0].ended_at
    started = done[1].started_at
    assert started is not None
    assert started - held >= timedelta(milliseconds=199)


def test_a_priority_can_be_asked_for(app: Flowzz) -> None:
    late = app.enqueue("probe.work", {})
    soon = app.enqueue("probe.work", {}, EnqueueOptions(priority=1))
    order = [claim.job_id for claim in step(app.queues, served=("probe",)).claims]
    assert order == [soon, late]
    with pytest.raises(InvalidRequest, match=r"1 \(first\) to 10"):
        EnqueueOptions(priority=11)


class Data(Payload):
    empresa_id: str


@pytest.mark.parametrize(
    ("limits", "priority", "message"),
    [
        ([RateLimit("x", 0, per=timedelta(1))], 5, "count of 1 or more"),
        ([RateLimit("x", 1, per=timedelta(0))], 5, "1 ms or more"),
        ([Concurrency("x", 1, by="nothing")], 5, "no field 'nothing'"),
        ([], 0, "expected priority"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_by_name(limits: list[object], priority: int, message: str) -> None:
    def handler(ctx: JobContext, data: Data) -> None: ...

    with pytest.raises(ConfigurationError, match=message):
        job("probe.x", queue="probe", limits=limits, priority=priority)(handler)  # type: ignore[arg-type]


class Sent(Payload):
    empresa_id: str
    to: str

    @property
    def pair(self) -> str:
        return f"{self.empresa_id}/{self.to}"


def test_a_limit_may_count_by_a_property_of_the_payload() -> None:
    def handler(ctx: JobContext, data: Sent) -> None: ...

    definition = job("probe.y", queue="probe", limits=[RateLimit("pair", 1, per=timedelta(1), by="pair")])(handler)
    (key,) = (limit_key(limit, Sent(empresa_id="a", to="7")) for limit in definition.limits)
    assert key == "pair:a/7"


def test_explain_names_the_one_thing_that_holds_a_job_up(app: Flowzz, redis_url: str, tmp_path: Path) -> None:
    queues, folder = app.queues, str(tmp_path)
    first = app.enqueue("probe.limited", {"folder": folder, "empresaId": "a"})
    waiting = app.enqueue("probe.limited", {"folder": folder, "empresaId": "a"})
    assert queues.explain(waiting).reason is Reason.NO_WORKER
    queues.transitions.renew("w1", lease_ms=9, ttl_s=60, fields={"hostname": "h"}, queues=["probe"], executions=[])
    told = queues.explain(waiting)
    assert (told.reason, told.position) == (Reason.IN_TURN, 2)
    (claim,) = step(queues, served=("probe",)).claims
    assert claim.job_id == first
    assert queues.explain(first).reason is Reason.RUNNING
    told = queues.explain(waiting)
    assert (told.reason, told.key, told.holders) == (Reason.CONCURRENCY_LIMITED, "probe.company:a", (first,))
    for company in ("b", "c"):
        last = app.enqueue("probe.limited", {"folder": folder, "empresaId": company})
    step(queues, served=("probe",))
    told = queues.explain(last)
    assert (told.reason, told.key) == (Reason.RATE_LIMITED, f"probe.phone:{folder}")
    assert told.until is not None
    queues.pause("probe", "month end", until=datetime(2099, 1, 1, tzinfo=UTC), by="ana@flowzz.example")
    told = queues.explain(last)
    assert told.by == "ana@flowzz.example"
    assert told.sentence == "queue probe is paused by ana@flowzz.example until 2099-01-01 00:00:00 UTC: month end"
    queues.resume("probe")
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(keys.SUSPENDED(), 1)
        assert queues.explain(last).reason is Reason.SUSPENDED


def test_explain_of_jobs_that_do_not_wait(app: Flowzz) -> None:
    queues = app.queues
    later = app.enqueue("probe.work", {}, EnqueueOptions(delay=timedelta(hours=1)))
    told = queues.explain(later)
    assert (told.reason, told.until) == (Reason.DELAYED, queues.job(later).due_at)
    queues.cancel(later)
    assert queues.explain(later).reason is Reason.FINAL
    paused = app.enqueue("probe.work", {"empresaId": "loja-1"})
    queues.pause_any(PauseKind.COMPANY, "loja-1", "disputed invoice")
    queues.transitions.renew("w1", lease_ms=9, ttl_s=60, fields={"hostname": "h"}, queues=["probe"], executions=[])
    assert step(queues, served=("probe",)).claims == []
    assert queues.explain(paused).sentence == "company:loja-1 is paused: disputed invoice"


def test_every_definition_of_the_probe_plugin_loads() -> None:
    host = PluginHost.of([plugin])
    assert [record.problem for record in host.records] == [None]
    assert isinstance(host.job("probe.limited"), JobDefinition)


def test_the_small_companies_are_done_before_the_200th_job_of_a_big_one(app: Flowzz) -> None:
    """Ten thousand jobs of one company wait when ninety-nine others enqueue one each; a real worker runs them."""
    app.enqueue_many([("probe.work", {"empresaId": "big"})] * 10_000)
    small = {app.enqueue("probe.work", {"empresaId": f"loja-{n}"}) for n in range(99)}
    waiting, before = set(small), 0
    with working(app, concurrency=10):
        for event in app.queues.events("0", SOON):
            if event.name == "completed":
                waiting.discard(event.subject)
                before += event.subject not in small
            if not waiting:
                break
    assert not waiting
    assert before < 200

"""What a running job may ask of its host: other jobs, other plugins' data, and somebody to tell a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import pytest

from flowzz.app import Flowzz
from flowzz.errors import LeaseLost
from flowzz.jobs.context import JobContext
from flowzz.jobs.notifications import Notification, Notified
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.records import JobRecord
from flowzz.settings import Settings
from flowzz.workers.reporter import Reporter
from support.engine import step
from support.working import working

NOTE = Notification(kind="x.y", company_id=None, user_id=None, title="T", text="…", key="k")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    quick = settings.model_copy(update={"heartbeat": 0.1, "sweep": 0.1, "shutdown_grace": 5})
    with Flowzz.open(quick, plugins=PluginHost.of(["support.exchange:plugin"])) as opened:
        opened.store.migrate()
        yield opened


@pytest.mark.parametrize("isolation", ["thread", "async", "process"])
def test_a_job_reads_enqueues_and_tells_in_every_isolation(
    app: Flowzz, final: Callable[[str], JobRecord], isolation: str
) -> None:
    with working(app):
        done = final(app.enqueue(f"exchange.{isolation}", {}))
        assert done.state is JobState.COMPLETED, done.error
        enqueued = done.result.pop("enqueued")
        assert done.result == {
            "sources": ["exchange.today", "exchange.yesterday"],
            "nothing": [],
            "rows": 1,
            "taken": ["exchange.carry"],
        }
        assert final(enqueued).payload == {"key": "k1", "kind": "follow-up"}
        assert final("told-k1").payload == {"key": "k1", "kind": "exchange.done"}
        said = [line.message for line in app.queues.log(done.id)]
        assert said == ["notifier exchange.a_break failed: ConnectionError: the pigeon is ill"]


def test_telling_twice_with_one_key_enqueues_once(app: Flowzz, final: Callable[[str], JobRecord]) -> None:
    with working(app):
        ids = [app.enqueue("exchange.thread", {"key": "same"}) for _ in range(2)]
        assert [final(job_id).state for job_id in ids] == [JobState.COMPLETED] * 2
        final("told-same")
    told = [job for job in app.queues.jobs("exchange", JobState.COMPLETED).items if job.payload.get("key") == "same"]
    assert sorted(job.payload["kind"] for job in told if "kind" in job.payload) == [
        "exchange.done",
        "follow-up",
        "follow-up",
    ]


def test_without_plugins_there_is_nothing_to_read_and_nobody_to_tell(settings: Settings) -> None:
    with Flowzz.open(settings, plugins=PluginHost.of([])) as app:
        assert app.data_sources("weather") == ()
        assert app.notify(NOTE) == Notified((), {})


def test_a_run_that_lost_its_lease_neither_enqueues_nor_tells(app: Flowzz) -> None:
    app.enqueue("exchange.thread", {})
    claim = step(app.queues, served=("exchange",)).claims[0]
    reporter = Reporter(app.queues.transitions, claim, Event())
    reporter.mark_lost()
    context = JobContext(
        job_id=claim.job_id,
        job_name="exchange.thread",
        queue="exchange",
        company_id=None,
        attempt=1,
        max_attempts=1,
        worker="w",
        store=app.store,
        host=app,
        reporter=reporter,
    )
    with pytest.raises(LeaseLost):
        context.enqueue("exchange.told", {"key": "k", "kind": "late"})
    with pytest.raises(LeaseLost):
        context.notify(NOTE)
    assert app.queues.stats(["exchange"])[0].waiting == 0

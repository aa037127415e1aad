"""What waits in a queue that only an uninstalled plugin served is parked, and runs when the plugin is back."""

from __future__ import annotations

from collections.abc import Callable

import redis

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.records import JobRecord
from flowzz.settings import Settings
from flowzz.workers.sweeper import Sweeper
from support.engine import new_job
from support.waiting import eventually
from support.working import working


def test_it_is_parked_told_of_and_runs_again(
    app: Flowzz, settings: Settings, final: Callable[[str], JobRecord]
) -> None:
    job_id = app.enqueue("probe.work", {})
    with Flowzz.open(settings, plugins=PluginHost.of(["support.exchange:plugin"])) as other:
        Sweeper(other).park()
    parked = app.queues.job(job_id)
    assert (parked.state, parked.note) == (JobState.PARKED, "no plugin registers probe.work; install flowzz-probe")
    assert "(flowzz-probe)" in app.queues.explain(job_id).sentence
    stats = app.queues.stats(["probe"])[0]
    assert (stats.waiting, stats.parked) == (0, 1)
    with working(app):
        assert final(job_id).state is JobState.COMPLETED


def test_what_somebody_serves_is_known_or_is_not_ours_stays(app: Flowzz, settings: Settings, raw: redis.Redis) -> None:
    with Flowzz.open(settings, plugins=PluginHost.of([])) as other:
        raw.sadd("rq:queues", "rq:queue:plain")
        raw.rpush("rq:queue:plain", "stranger")
        raw.hset("rq:job:stranger", mapping={"status": "queued", "origin": "plain"})
        app.queues.transitions.enqueue([new_job("known", queue="elsewhere")])
        Sweeper(app).park()
        assert app.queues.job("known").state is JobState.WAITING
        with working(app, queues=["elsewhere"], concurrency=1):
            eventually(lambda: app.queues.stats(["elsewhere"])[0].workers)
            app.queues.pause("elsewhere", "so that it waits")
            app.queues.transitions.enqueue([new_job("served", queue="elsewhere")])
            Sweeper(other).park()
            assert app.queues.job("served").state is JobState.WAITING
        assert raw.lrange("rq:queue:plain", 0, -1) == [b"stranger"]

"""A Redis that came back empty, or as an older copy: those who talked to it before notice, say so, and go on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from flowzz import clock
from flowzz.app import Flowzz
from flowzz.cli import main
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.epoch import Witness
from flowzz.scheduling import Scheduler
from flowzz.settings import Settings
from support.probe import plugin
from support.waiting import eventually
from support.working import working


def witness(queues: Queues, who: str = "w1") -> Witness:
    made = Witness(queues.transitions, who)
    assert not made.look()
    assert not made.look()
    return made


def losses(raw: redis.Redis) -> list[bytes]:
    lines = [line for _, entry in raw.xrange(keys.EVENTS()) for line in entry[b"events"].split(b"\n")]
    return [line for line in lines if line.startswith(b"data_lost")]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    quick = settings.model_copy(update={"heartbeat": 0.1, "sweep": 0.1, "shutdown_grace": 5})
    with Flowzz.open(quick, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


def test_a_redis_that_keeps_its_data_is_never_suspected(queues: Queues, raw: redis.Redis) -> None:
    first, second = witness(queues), witness(queues, "w2")
    assert not first.look()
    assert not second.look()
    assert (losses(raw), queues.data_loss()) == ([], None)


def test_an_empty_redis_is_told_once_and_adopted_by_all(queues: Queues, raw: redis.Redis) -> None:
    first, second = witness(queues), witness(queues, "w2")
    raw.flushall()
    assert (first.look(), second.look()) == (True, True)
    assert (first.look(), second.look()) == (False, False)
    assert losses(raw) == [b"data_lost||empty|"]
    assert str(queues.data_loss()).startswith("Redis came back empty at ")


def test_an_empty_redis_is_noticed_although_somebody_new_came_first(queues: Queues, raw: redis.Redis) -> None:
    old = witness(queues)
    raw.flushall()
    new = witness(queues, "w2")
    assert (old.look(), new.look()) == (True, True)
    assert losses(raw) == [b"data_lost||empty|"]


def test_an_older_copy_is_told_with_its_age(queues: Queues, raw: redis.Redis) -> None:
    old = witness(queues)
    copy = {key: raw.dump(key) for key in raw.keys("*")}
    seen_ms = raw.hget(keys.EPOCH(), "seen_ms")
    assert seen_ms is not None
    assert not old.look()
    raw.flushall()
    for key, value in copy.items():
        raw.restore(key, 0, value)
    assert old.look()
    assert losses(raw) == [b"data_lost||older|" + seen_ms]
    assert "older copy from " in str(queues.data_loss())
    assert not old.look()


def test_a_copy_from_before_an_earlier_loss_is_an_older_one(queues: Queues, raw: redis.Redis) -> None:
    old = witness(queues)
    copy = {key: raw.dump(key) for key in raw.keys("*")}
    raw.flushall()
    assert old.look()
    raw.flushall()
    for key, value in copy.items():
        raw.restore(key, 0, value)
    raw.hincrby(keys.EPOCH(), "since_ms", -10)
    assert old.look()
    assert losses(raw)[-1].startswith(b"data_lost||older|")


def test_health_speaks_of_it_for_a_day(
    queues: Queues, raw: redis.Redis, redis_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = witness(queues)
    raw.flushall()
    old.look()
    environment = {"FLOWZZ_HOME": str(home), "REDIS_URL": redis_url}
    assert "Redis came back empty" in CliRunner().invoke(main, ["health"], env=environment).stderr
    later = datetime.now(UTC) + timedelta(hours=25)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert queues.data_loss() is None


def test_workers_introduce_themselves_anew_and_work_on(app: Flowzz, raw: redis.Redis) -> None:
    with working(app) as worker:
        eventually(lambda: app.queues.workers())
        raw.flushall()
        eventually(lambda: losses(raw))
        eventually(lambda: [one.name for one in app.queues.workers()] == [worker.name])
        job_id = app.enqueue("probe.work", {})
        assert app.queues.wait(job_id, timedelta(seconds=90)).state is JobState.COMPLETED


def test_schedules_go_on_from_the_last_tick_that_a_scheduler_saw(
    app: Flowzz, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    scheduler = Scheduler(app)

    def look(moment: datetime) -> list[str]:
        monkeypatch.setattr(clock, "now", lambda: moment)
        scheduler.run_due()
        return [tick.tick.isoformat() for tick in app.queues.ticks("probe.work")]

    assert look(noon - timedelta(minutes=10)) == []
    assert look(noon) == ["2026-03-02T12:00:00+00:00"]
    assert look(noon + timedelta(minutes=5)) == ["2026-03-02T12:00:00+00:00"]
    raw.flushall()
    assert look(noon + timedelta(minutes=61)) == ["2026-03-02T13:00:00+00:00"]

"""A worker that cannot complete its steps: it says so, connects anew, is replaced, but never with jobs in its hands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowzz.app import Flowzz
from flowzz.cli import main
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.lua import script_text
from flowzz.settings import Settings
from flowzz.workers.ending import REPLACE_ME
from support.processes import role
from support.proxy import Proxy, proxy
from support.waiting import eventually
from support.working import noted

STEP = hashlib.sha1(script_text("step").encode()).hexdigest().encode()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(
        settings.model_copy(update={"health_grace": 0}), plugins=PluginHost.of(["support.rough:plugin"])
    ) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def link(redis_url: str) -> Iterator[Proxy]:
    with proxy(redis_url) as opened:
        yield opened


def worker_states(app: Flowzz) -> list[str]:
    return [worker.state for worker in app.queues.workers()]


def test_a_worker_that_hears_nothing_is_replaced(app: Flowzz, home: Path, tmp_path: Path, link: Proxy) -> None:
    with role("worker", home, link.url, PROBE_PLUGIN="rough", FLOWZZ_WATCHDOG="0.5") as process:
        app.queues.wait(app.enqueue("rough.quick", {"folder": str(tmp_path)}), timedelta(seconds=15))
        link.freeze()
        assert process.wait(20) == REPLACE_ME


def test_with_a_job_in_hand_it_says_that_it_is_silent_and_settles_when_it_can(
    app: Flowzz, home: Path, tmp_path: Path, redis_url: str, link: Proxy
) -> None:
    with role("worker", home, link.url, PROBE_PLUGIN="rough", FLOWZZ_WATCHDOG="0.5", FLOWZZ_LEASE="30") as process:
        job_id = app.enqueue("rough.neighbour", {"folder": str(tmp_path)})
        eventually(lambda: noted(tmp_path, "neighbour"))
        link.freeze(STEP)
        waiting = app.enqueue("rough.quick", {"folder": str(tmp_path)})
        (tmp_path / "go").touch()
        eventually(lambda: worker_states(app) == ["silent"])
        listed = CliRunner().invoke(main, ["workers"], env={"FLOWZZ_HOME": str(home), "REDIS_URL": redis_url})
        assert "silent" in listed.output
        assert app.health()["status"] == "unhealthy"
        assert process.poll() is None
        link.thaw()
        for done in (job_id, waiting):
            assert app.queues.wait(done, timedelta(seconds=20)).state is JobState.COMPLETED
        assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["completed"]
        eventually(lambda: worker_states(app) == ["idle"])
        assert app.health()["status"] == "healthy"

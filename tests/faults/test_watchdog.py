"""A worker that cannot complete its steps: it says so, connects anew, is replaced, but never with jobs in its hands."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
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
from support.processes import environment, role
from support.proxy import Proxy, proxy
from support.shop import OF_THIS_HOUSE, install
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


@pytest.fixture
def supervised(app: Flowzz, home: Path, redis_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``flowzz worker --processes 1`` with the shortest watchdog there is."""
    site = install(tmp_path / "site", entry="support.rough:plugin", name="rough")
    paths = os.pathsep.join([str(site), str(Path(__file__).parents[1])])
    more = {"PYTHONPATH": paths, "FLOWZZ_DISABLED_PLUGINS": OF_THIS_HOUSE, "FLOWZZ_WATCHDOG": "2"}
    command = [sys.executable, "-m", "flowzz.cli", "--quiet", "worker", "--processes", "1", "--concurrency", "3"]
    process = subprocess.Popen(command, env=environment(home, redis_url, more), start_new_session=True)
    yield process
    process.terminate()
    process.wait(90)


@pytest.mark.parametrize(
    "where",
    ["journal", pytest.param("mailbox", marks=pytest.mark.long), pytest.param("step", marks=pytest.mark.long)],
)
def test_a_dispatcher_that_hangs_is_seen_and_replaced_and_no_job_is_lost(
    app: Flowzz, supervised: subprocess.Popen[bytes], tmp_path: Path, where: str
) -> None:
    folder = {"folder": str(tmp_path)}
    saboteur = app.enqueue("rough.saboteur", {**folder, "how": where})
    eventually(lambda: worker_states(app) == ["silent"], saying="the list of workers says that it hangs")
    (hung,) = app.queues.workers()
    waiting = [app.enqueue("rough.quick", folder) for _ in range(3)]
    assert app.health()["status"] == "unhealthy"
    # A worker with an outcome in hand is given 30 s, as long as a step can take while Redis is away.
    done = [app.queues.wait(job_id, timedelta(seconds=75)) for job_id in (*waiting, saboteur)]
    assert [job.state for job in done] == [JobState.COMPLETED] * 4
    assert [job.stalled_count for job in done] == [0, 0, 0, int(where == "step")]
    assert [job.attempts_made for job in done] == [1] * 4
    assert supervised.poll() is None
    eventually(lambda: app.health()["status"] == "healthy")
    assert hung.pid not in noted(tmp_path, "quick")


def test_a_worker_that_hears_nothing_is_replaced(app: Flowzz, home: Path, tmp_path: Path, link: Proxy) -> None:
    with role("worker", home, link.url, PROBE_PLUGIN="rough", FLOWZZ_WATCHDOG="2") as process:
        app.queues.wait(app.enqueue("rough.quick", {"folder": str(tmp_path)}), timedelta(seconds=60))
        link.freeze()
        assert process.wait(90) == REPLACE_ME


def test_with_a_job_in_hand_it_says_that_it_is_silent_and_settles_when_it_can(
    app: Flowzz, home: Path, tmp_path: Path, redis_url: str, link: Proxy
) -> None:
    with role("worker", home, link.url, PROBE_PLUGIN="rough", FLOWZZ_WATCHDOG="2", FLOWZZ_LEASE="30") as process:
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
            assert app.queues.wait(done, timedelta(seconds=60)).state is JobState.COMPLETED
        assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["completed"]
        eventually(lambda: worker_states(app) == ["idle"])
        assert app.health()["status"] == "healthy"

"""Handlers in threads that never return: their jobs go on without them, and their worker is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flowzz.app import Flowzz
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.workers.ending import REPLACE_ME
from support.processes import role
from support.waiting import eventually
from support.working import noted, working

QUICK = {"heartbeat": 0.1, "sweep": 0.1, "shutdown_grace": 5, "timeout_grace": 0.2}


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings.model_copy(update=QUICK), plugins=PluginHost.of(["support.rough:plugin"])) as opened:
        opened.store.migrate()
        yield opened


def test_a_worker_with_a_handler_that_never_returns_is_replaced(app: Flowzz, home: Path, tmp_path: Path) -> None:
    url = app.settings.resolve_redis_url()
    assert url is not None
    folder = {"folder": str(tmp_path)}
    with role("worker", home, url, PROBE_PLUGIN="rough", FLOWZZ_TIMEOUT_GRACE="0.2") as process:
        neighbour = app.enqueue("rough.neighbour", folder)
        eventually(lambda: noted(tmp_path, "neighbour"))
        stuck = app.queues.wait(app.enqueue("rough.stuck", folder), timedelta(seconds=90))
        assert stuck.state is JobState.FAILED
        assert stuck.error is not None
        assert stuck.error.message.startswith(
            "ran longer than its timeout of 0.2 s and did not return within 0.2 s more"
        )
        eventually(lambda: [worker.state for worker in app.queues.workers()] == ["stopping"])
        left = app.enqueue("rough.apart", {})
        assert process.poll() is None, "it has to wait for the neighbour"
        (tmp_path / "go").touch()
        assert process.wait(90) == REPLACE_ME
    assert app.queues.job(neighbour).state is JobState.COMPLETED
    assert app.queues.job(left).state is JobState.WAITING
    assert app.queues.job(stuck.id).attempts_made == 1


def test_a_late_result_is_refused(app: Flowzz, tmp_path: Path) -> None:
    with working(app):
        keep = app.enqueue("rough.neighbour", {"folder": str(tmp_path)})
        stuck = app.queues.wait(app.enqueue("rough.stuck", {"folder": str(tmp_path)}), timedelta(seconds=90))
        assert stuck.state is JobState.FAILED
        (tmp_path / "free").touch()
        eventually(lambda: _event(app, "late_commit_rejected"))
        (tmp_path / "go").touch()
        assert app.queues.wait(keep, timedelta(seconds=90)).state is JobState.COMPLETED
    assert app.queues.job(stuck.id).state is JobState.FAILED
    assert [attempt.outcome for attempt in app.queues.attempts(stuck.id)] == ["failed"]


def _event(app: Flowzz, name: str) -> bool:
    entries = app.queues._clients.commands.xrange("flowzz:events")
    return any(name in fields[b"events"].decode() for _, fields in entries)

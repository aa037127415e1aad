"""Lines about a job say which one it is, the same way everywhere: ``job`` is its name, ``job_id`` its id."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from structlog.testing import capture_logs

import flowzz
from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.settings import Settings
from flowzz.workers.sweeper import Sweeper
from support.engine import new_job, step
from support.probe import plugin

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def log_calls(source: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            yield node


def mistakes(source: str) -> Iterator[str]:
    for call in log_calls(source):
        said = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if "job" in said and ("job_id" not in said or said["job"].endswith("id")):
            yield ast.unparse(call)


def test_no_line_calls_an_id_a_job() -> None:
    assert list(mistakes("log.info('x', job=claim.job_id)")), "the rule notices"
    folder = Path(flowzz.__file__).parent
    found = [f"{path.name}: {line}" for path in folder.rglob("*.py") for line in mistakes(path.read_text("utf-8"))]
    assert found == []


def test_a_rescued_job_is_named(settings: Settings) -> None:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as app:
        queues = app.queues
        queues.transitions.enqueue([new_job("a")])
        (claim,) = step(queues).claims
        assert claim.job == "probe.work"
        queues._clients.commands.zadd(keys.WIP("sync"), {f"a:{claim.execution_id}": 1})
        queues._clients.commands.zadd(keys.WIP("sync"), {"nobody:x": 1})
        with capture_logs() as lines:
            Sweeper(app).once()
    one, other = sorted(lines, key=lambda line: str(line["job_id"]))
    assert (one["job"], one["job_id"], one["now"]) == ("probe.work", "a", "waiting")
    assert (other["job"], other["job_id"], other["now"]) == (None, "nobody", "gone")

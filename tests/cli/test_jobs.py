"""Jobs and queues from the command line, against a real Valkey and a real worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.workers import Worker
from support.waiting import eventually

from .conftest import Cli


@contextmanager
def working(cli: Cli) -> Iterator[None]:
    """A worker in this process, serving the shop."""
    disabled = cli.env["FLOWZZ_DISABLED_PLUGINS"]
    settings = Settings.load(home=cli.env["FLOWZZ_HOME"], redis_url=cli.env["REDIS_URL"], disabled_plugins=disabled)
    with Flowzz.open(settings, plugins=PluginHost.discover(settings)) as app:
        worker = Worker(app, concurrency=2)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join(20)


def test_enqueue_and_wait_for_the_result(connected: Cli) -> None:
    with working(connected):
        shown = connected.ok("enqueue", "shop.pack", "--data", '{"items": 3}', "--wait", "--timeout", "20s")
        document = connected.json("enqueue", "shop.pack", "--wait")
    assert shown.endswith(" completed: 3 packed, 0 left over\n")
    assert (document["state"], document["result"]) == ("completed", {"packed": 1, "leftOver": 0})


def test_waiting_for_a_job_that_fails_exits_1(connected: Cli) -> None:
    with working(connected):
        result = connected("enqueue", "shop.pack", "--data", '{"broken": true}', "--wait")
    assert result.exit_code == 1
    assert result.stdout.endswith("failed: the box is broken\n")


def test_waiting_ends_at_the_timeout(connected: Cli) -> None:
    result = connected("enqueue", "shop.pack", "--wait", "--timeout", "0.1s")
    assert result.exit_code == 1
    assert result.stdout.endswith(" waiting\n")


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_the_payload_may_come_from_a_file(connected: Cli, tmp_path: Path, how: str) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"items": 9}')
    source, typed = (str(file), None) if how == "file" else ("-", file.read_text())
    made = connected.ok("enqueue", "shop.pack", "--data-file", source, input=typed).strip()
    assert connected.json("jobs", "show", made)["payload"]["items"] == 9


def test_a_delay_an_id_and_attempts(connected: Cli) -> None:
    words = ("--delay", "1h30m", "--id", "my-job", "--attempts", "7")
    assert connected.ok("enqueue", "shop.pack", *words) == "my-job\n"
    job = connected.json("jobs", "show", "my-job")
    assert (job["state"], job["maxAttempts"]) == ("delayed", 7)
    result = connected("enqueue", "shop.pack", "--id", "my-job")
    assert (result.exit_code, "already has the id" in result.stderr) == (1, True)


def test_a_job_that_is_there_already_is_named(connected: Cli) -> None:
    words = ("enqueue", "shop.pack", "--unique-key", "order-7", "--expires", "1h")
    first, again = connected(*words), connected(*words)
    assert first.stdout == again.stdout
    assert (first.stderr, again.stderr) == ("", f"{first.stdout.strip()} was there already; nothing was enqueued\n")
    made = {"id": first.stdout.strip(), "job": "shop.pack", "queue": "shop", "created": False}
    assert connected.json(*words) == made


def test_many_payloads_one_a_line(connected: Cli) -> None:
    made = connected.ok("enqueue", "shop.pack", "--lines", "-", input='{"items": 1}\n\n{"items": 2}\n').split()
    assert [connected.json("jobs", "show", job_id)["payload"]["items"] for job_id in made] == [1, 2]
    for lines, said in (('{"items": 1}\n[]', "line 2: expected a JSON object"), ("{", "line 1"), ("{}", "excludes")):
        more = ("--id", "x") if said == "excludes" else ()
        refused = connected("enqueue", "shop.pack", "--lines", "-", *more, input=lines)
        assert (refused.exit_code, said in refused.stderr) == (2, True)
    refused = connected("enqueue", "shop.pack", "--lines", "-", input='{"items": 1}\n{"items": -1}')
    assert (refused.exit_code, "items" in refused.stderr) == (1, True)
    assert len(connected.json("jobs", "list")) == 2


def test_what_is_refused_says_why(connected: Cli) -> None:
    assert "did you mean 'shop.pack'" in connected("enqueue", "shop.pck").stderr
    refused = connected("enqueue", "shop.pack", "--data", '{"items": -1}')
    assert (refused.exit_code, "items:" in refused.stderr) == (1, True)
    assert "did you mean 'shop'" in connected("jobs", "list", "--queue", "shp").stderr


def test_list_show_retry_and_remove(connected: Cli) -> None:
    with working(connected):
        connected("enqueue", "shop.pack", "--data", '{"broken": true}', "--id", "bad", "--wait")
        connected("enqueue", "shop.pack", "--id", "good", "--wait")
    assert [job["id"] for job in connected.json("jobs", "list")] == ["good", "bad"]
    assert [job["id"] for job in connected.json("jobs", "list", "--state", "failed", "--queue", "shop")] == ["bad"]
    shown = connected.ok("jobs", "show", "bad")
    assert "Permanent" in shown
    assert "the box is broken" in shown
    assert "packed 1" in connected.ok("jobs", "show", "good")
    assert connected.ok("jobs", "retry", "bad") == "bad waits again\n"
    assert connected.json("jobs", "show", "bad")["state"] == "waiting"
    refused = connected("jobs", "retry", "good")
    assert (refused.exit_code, "it is completed" in refused.stderr) == (1, True)
    assert connected.ok("jobs", "remove", "bad", "good") == "bad removed\ngood removed\n"
    assert connected.ok("jobs", "list") == "no jobs\n"


def test_queues_pause_and_resume(connected: Cli) -> None:
    connected.ok("enqueue", "shop.pack")
    connected.ok("queues", "pause", "shop", "--reason", "stocktaking")
    (queue,) = connected.json("queues")
    assert (queue["name"], queue["waiting"], queue["paused"], queue["pauseReason"]) == ("shop", 0, 1, "stocktaking")
    assert "paused: stocktaking" in connected.ok("queues", "list")
    with working(connected):
        connected.ok("queues", "resume", "shop")
        eventually(lambda: connected.json("queues", "list")[0]["completed"] == 1)
    assert connected("queues", "pause", "shp").exit_code == 1


def test_health_is_the_public_report(connected: Cli) -> None:
    report = connected.json("health")
    assert (report["status"], report["redis"]) == ("healthy", {"connected": True})
    assert list(report) == ["status", "timestamp", "redis", "queues", "summary", "connections", "warnings"]
    connected.env["REDIS_URL"] = "redis://127.0.0.1:1/0"
    result = connected("health", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["redis"] == {"connected": False}


def test_a_job_may_wait_for_others(connected: Cli) -> None:
    connected.ok("enqueue", "shop.pack", "--id", "first", "--delay", "1h")
    connected.ok("enqueue", "shop.pack", "--id", "second", "--depends-on", "first", "--on-parent-failure", "wait")
    assert connected.json("jobs", "show", "second")["dependsOn"] == ["first"]
    assert "it waits for its parents: first (delayed)" in connected.ok("jobs", "explain", "second")
    assert [job["id"] for job in connected.json("jobs", "list", "--state", "deferred")] == ["second"]
    refused = connected("enqueue", "shop.pack", "--depends-on", "nowhere")
    assert (refused.exit_code, "is not stored" in refused.stderr) == (1, True)

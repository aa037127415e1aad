"""Pausing, cancelling, explaining, priorities and limits from the command line, against a real Valkey."""

from __future__ import annotations

import pytest

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.queues.lanes import Lane, LimitKey
from flowzz.settings import Settings
from support.engine import new_job, step

from .conftest import Cli


@pytest.mark.parametrize(
    ("words", "kind", "name", "said"),
    [
        (["shop"], "queue", "shop", "shop"),
        (["--job", "shop.pack"], "job", "shop.pack", "job shop.pack"),
        (["--company", "loja 1|x"], "company", "loja 1|x", "company loja 1|x"),
    ],
)
def test_pause_list_and_resume(connected: Cli, words: list[str], kind: str, name: str, said: str) -> None:
    assert connected.ok("pause") == "nothing is paused\n"
    assert connected.ok("pause", *words, "--reason", "stocktaking", "--until", "2h") == f"{said} is paused\n"
    (pause,) = connected.json("pause")
    assert (pause["kind"], pause["name"], pause["reason"], pause["by"]) == (kind, name, "stocktaking", "cli")
    assert pause["until"].endswith("Z")
    assert "stocktaking" in connected.ok("pause")
    assert connected.ok("resume", *words) == f"{said} runs again\n"
    again = connected("resume", *words)
    assert (again.exit_code, "was not paused" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["shp"], "did you mean 'shop'"),
        (["--job", "shop.pck"], "did you mean 'shop.pack'"),
        (["shop", "--company", "a"], "give one of"),
        (["shop", "--until", "tomorrow"], "a time from now such as 2h"),
        (["shop", "--until", "2030-01-01"], "expected a time zone"),
        (["shop", "--until", "2020-01-01T00:00Z"], "to be in the future"),
    ],
)
def test_a_wrong_pause_is_refused_and_changes_nothing(connected: Cli, words: list[str], problem: str) -> None:
    result = connected("pause", *words)
    assert result.exit_code != 0
    assert problem in result.stderr
    assert connected.json("pause") == []


def test_explain_cancel_and_priority(connected: Cli) -> None:
    for name, priority in (("late", "9"), ("soon", "1")):
        connected.ok("enqueue", "shop.pack", "--id", name, "--priority", priority, "--data", '{"empresaId": "loja-1"}')
    connected.ok("pause", "--company", "loja-1", "--reason", "disputed invoice")
    assert connected.ok("jobs", "explain", "late") == (
        "late is waiting: company:loja-1 is paused by cli: disputed invoice\n"
    )
    connected.ok("resume", "--company", "loja-1")
    told = connected.json("jobs", "explain", "late")
    assert (told["reason"], told["position"]) == ("no_worker", 1)
    assert connected.ok("jobs", "cancel", "late", "--reason", "typo") == "late canceled\n"
    job = connected.json("jobs", "show", "late")
    assert (job["state"], job["note"]) == ("canceled", "typo")
    refused = connected("jobs", "cancel", "late")
    assert (refused.exit_code, "it is canceled" in refused.stderr) == (1, True)
    assert connected("enqueue", "shop.pack", "--priority", "11").exit_code == 2


def test_priority_decides_who_is_first_and_a_running_job_is_told_to_stop(connected: Cli) -> None:
    for name, priority in (("late", "9"), ("soon", "1")):
        connected.ok("enqueue", "shop.pack", "--id", name, "--priority", priority)
    settings = Settings.load(home=connected.env["FLOWZZ_HOME"], redis_url=connected.env["REDIS_URL"])
    with Flowzz.open(settings, plugins=PluginHost.of([])) as app:
        assert [claim.job_id for claim in step(app.queues, want=1, served=("shop",)).claims] == ["soon"]
    assert connected.ok("jobs", "cancel", "soon") == "soon was told to stop\n"


def test_limits_say_rule_use_hold_and_who_waits(connected: Cli) -> None:
    assert connected.ok("limits") == "nothing is limited\n"
    settings = Settings.load(home=connected.env["FLOWZZ_HOME"], redis_url=connected.env["REDIS_URL"])
    lane = Lane(limits=(LimitKey("phone:1|a", 2, 60_000), LimitKey("account:7", 5)))
    with Flowzz.open(settings, plugins=PluginHost.of([])) as app:
        app.queues.transitions.enqueue([new_job(f"j{n}", lane=lane) for n in range(4)])
        step(app.queues)
    rate, slots = connected.json("limits")["items"]
    assert (rate["name"], rate["kind"], rate["count"], rate["periodS"]) == ("phone:1|a", "rate", 2, 60.0)
    assert (rate["used"], rate["heldUntil"], rate["waitingLanes"]) == (2, None, 1)
    assert rate["freeAt"].endswith("Z")
    assert (slots["name"], slots["kind"], slots["count"], slots["used"]) == ("account:7", "concurrency", 5, 2)
    shown = connected.ok("limits")
    assert "2 in 60 s" in shown
    assert "5 at a time" in shown


def test_limits_of_a_queue_are_set_lifted_and_reverted(connected: Cli) -> None:
    connected.ok("enqueue", "shop.pack", "--id", "a", "--data", '{"empresaId": "loja-1"}')
    connected.ok("limits", "set", "shop", "--rate", "10/60s", "--concurrency", "4")
    found = {item["kind"]: item for item in connected.json("limits")["items"]}
    assert (found["rate"]["count"], found["rate"]["periodS"], found["concurrency"]["count"]) == (10, 60.0, 4)
    assert (found["rate"]["edited"]["by"], found["rate"]["edited"]["was"]) == ("cli", None)
    assert "the plugin says no limit" in " ".join(connected.ok("limits").split())
    assert connected.ok("limits", "clear", "shop") == "shop is not limited\n"
    assert connected.json("limits")["items"] == []
    connected.ok("limits", "set", "shop", "--concurrency", "4")
    assert connected.ok("limits", "revert", "shop") == "shop is limited as its plugin says\n"
    assert connected.ok("limits", "revert", "shop") == "shop was not edited\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["set", "shp", "--concurrency", "1"], "did you mean 'shop'"),
        (["set", "--name", "nobodys", "--concurrency", "1"], "no limit is named 'nobodys'"),
        (["set", "shop"], "expected a rate or a concurrency"),
        (["set", "shop", "--rate", "10"], "expected a rate such as 10/60s"),
        (["set", "shop", "--concurrency", "0"], "0 is not in the range"),
        (["set", "--concurrency", "1"], "give a QUEUE or a --name"),
        (["revert", "shop", "--name", "x"], "give a QUEUE or a --name"),
    ],
)
def test_a_wrong_limit_is_refused_and_changes_nothing(connected: Cli, words: list[str], problem: str) -> None:
    result = connected("limits", *words)
    assert result.exit_code != 0
    assert problem in result.stderr
    assert connected.json("limits")["items"] == []

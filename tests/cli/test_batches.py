"""``flowzz batches``."""

from __future__ import annotations

import pytest

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings

from .conftest import Cli


def test_show_says_how_far_it_is(connected: Cli) -> None:
    settings = Settings.load(
        home=connected.env["FLOWZZ_HOME"],
        redis_url=connected.env["REDIS_URL"],
        disabled_plugins=connected.env["FLOWZZ_DISABLED_PLUGINS"],
    )
    with Flowzz.open(settings, plugins=PluginHost.discover(settings)) as app:
        app.batch([("shop.pack", {}), ("shop.pack", {})], batch_id="monday")
    document = connected.json("batches", "show", "monday")
    assert (document["total"], document["pending"], document["finishedAt"]) == (2, 2, None)
    assert "monday" in connected.ok("batches", "show", "monday")
    refused = connected("batches", "show", "tuesday")
    assert (refused.exit_code, "no batch has the id 'tuesday'" in refused.stderr) == (1, True)


PACK = '{"job": "shop.pack", "payload": {"items": 2}}'


def test_a_file_becomes_a_batch_once(connected: Cli) -> None:
    lines = f'{PACK}\n\n{{"job": "shop.pack", "options": {{"priority": 1}}}}\n'
    words = ("batches", "create", "-", "--id", "monday", "--nonce", "1", "--callback", PACK)
    assert connected.ok(*words, input=lines) == "monday\n"
    assert connected.ok(*words, input=lines) == "monday\n"
    assert connected.json("batches", "show", "monday")["pending"] == 2
    assert connected.json("queues", "list")[0]["waiting"] == 2
    connected.ok("jobs", "cancel", "monday-1", "monday-2")
    assert connected.json("jobs", "show", "monday-done")["payload"]["items"] == 2


def test_a_file_becomes_a_chain(connected: Cli) -> None:
    first, second = connected.ok("chain", "-", input=f"{PACK}\n{PACK}\n").split()
    assert connected.json("jobs", "show", second)["dependsOn"] == [first]


@pytest.mark.parametrize(
    ("lines", "code", "says"),
    [
        (f"{PACK}\nnonsense\n", 2, "line 2: expected a JSON object"),
        (f'{PACK}\n\n{{"job": "shop.pack", "options": {{"attempts": 0}}}}\n', 2, "line 3: options.attempts"),
        (
            f'{PACK}\n\n{{"job": "shop.pack", "payload": {{"items": -1}}}}\n',
            1,
            "line 3: payload of shop.pack refused: items",
        ),
        (f'{PACK}\n{{"job": "shop.pck"}}\n', 1, "line 2: no job is named 'shop.pck'; did you mean 'shop.pack'?"),
    ],
)
@pytest.mark.parametrize("command", [("batches", "create", "-"), ("chain", "-")])
def test_a_line_that_is_refused_is_named_and_nothing_is_stored(
    connected: Cli, command: tuple[str, ...], lines: str, code: int, says: str
) -> None:
    refused = connected(*command, input=lines)
    assert (refused.exit_code, says in refused.stderr) == (code, True), refused.stderr
    assert connected.ok("jobs", "list") == "no jobs\n"


def test_what_belongs_together_is_asked_for_together(connected: Cli) -> None:
    assert "--nonce needs --id" in connected("batches", "create", "-", "--nonce", "1", input=PACK).stderr
    refused = connected("batches", "create", "-", "--callback", '{"jib": "shop.pack"}', input=PACK)
    assert (refused.exit_code, "--callback: job: Field required" in refused.stderr) == (2, True)


def test_an_empty_file_is_refused(connected: Cli) -> None:
    for words in (("batches", "create", "-"), ("chain", "-")):
        assert connected(*words, input="\n").exit_code != 0

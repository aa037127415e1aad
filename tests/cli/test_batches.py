"""``flowzz batches``."""

from __future__ import annotations

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings

from .conftest import Cli


def test_show_says_how_far_it_is(connected: Cli) -> None:
    settings = Settings.load(
        home=connected.env["FLOWZZ_HOME"], redis_url=connected.env["REDIS_URL"], disabled_plugins="coinzz"
    )
    with Flowzz.open(settings, plugins=PluginHost.discover(settings)) as app:
        app.batch([("shop.pack", {}), ("shop.pack", {})], batch_id="monday")
    document = connected.json("batches", "show", "monday")
    assert (document["total"], document["pending"], document["finishedAt"]) == (2, 2, None)
    assert "monday" in connected.ok("batches", "show", "monday")
    refused = connected("batches", "show", "tuesday")
    assert (refused.exit_code, "no batch has the id 'tuesday'" in refused.stderr) == (1, True)

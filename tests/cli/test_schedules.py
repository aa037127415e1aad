"""Schedules from the command line."""

from __future__ import annotations

from .conftest import Cli

NAME = "shop.pack"


def test_list_and_show(connected: Cli) -> None:
    (view,) = connected.json("schedules", "list")
    assert (view["name"], view["job"], view["cron"]) == (NAME, "shop.pack", "0 3 1 1 *")
    assert (view["timezone"], view["missed"], view["overlap"]) == ("America/Sao_Paulo", "run_once", "allow")
    assert view["nextAt"].endswith("-01-01T06:00:00.000Z")
    assert "0 3 1 1 *" in connected.ok("schedules", "list")
    shown = connected.ok("schedules", "show", NAME)
    assert "missed run_once (at most 10), overlap allow, spread 0 s" in shown
    assert "did you mean 'shop.pack'" in connected("schedules", "show", "shop.pck").stderr


def test_pause_and_resume(connected: Cli) -> None:
    assert connected.ok("schedules", "pause", NAME, "--reason", "stocktaking") == f"{NAME} is paused\n"
    (view,) = connected.json("schedules", "list")
    assert (view["nextAt"], view["paused"]["reason"], view["paused"]["by"]) == (None, "stocktaking", "cli")
    assert "paused by cli: stocktaking" in connected.ok("schedules", "list")
    assert "stocktaking" in connected.ok("schedules", "show", NAME)
    assert connected.ok("schedules", "resume", NAME) == f"{NAME} ticks again\n"
    assert connected.ok("schedules", "resume", NAME) == f"{NAME} was not paused\n"


def test_set_shows_the_difference_and_revert_ends_it(connected: Cli) -> None:
    shown = connected.ok("schedules", "set", NAME, "--cron", "30 * * * *", "--timezone", "UTC")
    assert "cron: 30 * * * * (the plugin says 0 3 1 1 *)" in shown
    view = connected.json("schedules", "show", NAME)
    assert (view["cron"], view["timezone"], view["edited"]["by"]) == ("30 * * * *", "UTC", "cli")
    assert [change["field"] for change in view["differences"]] == ["cron", "timezone"]
    assert "edited by cli" in connected.ok("schedules", "list")
    refused = connected("schedules", "set", NAME, "--cron", "99 * * * *")
    assert (refused.exit_code, "cron line '99 * * * *'" in refused.stderr) == (1, True)
    assert connected.ok("schedules", "revert", NAME) == f"{NAME} is as its plugin says\n"
    assert connected.ok("schedules", "revert", NAME) == f"{NAME} was not edited\n"


def test_run_now(connected: Cli) -> None:
    assert connected.ok("schedules", "run", NAME) == f"{NAME}: 1 jobs enqueued\n"
    (job,) = connected.json("jobs", "list", "--queue", "shop")
    assert job["payload"]["items"] == 2
    (tick,) = connected.json("schedules", "show", NAME)["ticks"]
    assert (tick["how"], tick["by"], tick["jobs"]) == ("run", "cli", 1)
    assert "run by cli, 1 jobs" in connected.ok("schedules", "show", NAME)

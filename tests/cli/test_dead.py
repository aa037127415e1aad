"""``flowzz dead``: what failed for good, from the command line."""

from __future__ import annotations

import pytest

from .conftest import Cli
from .test_jobs import working


@pytest.fixture
def buried(connected: Cli) -> Cli:
    """Two dead jobs."""
    with working(connected):
        for job_id in ("bad-1", "bad-2"):
            connected("enqueue", "shop.pack", "--data", '{"broken": true}', "--id", job_id, "--wait")
    return connected


def test_list_and_filter(buried: Cli) -> None:
    assert [job["id"] for job in buried.json("dead", "list")["items"]] == ["bad-2", "bad-1"]
    assert "Permanent: the box is broken" in buried.ok("dead", "list", "--error", "Permanent", "--since", "1h")
    assert buried.ok("dead", "list", "--error", "KeyError") == "no dead jobs\n"
    assert buried.ok("dead", "list", "--until", "1h") == "no dead jobs\n"
    assert buried.ok("dead", "list", "--limit", "1").endswith("1 more\n")


def test_replay_one_then_all(buried: Cli) -> None:
    assert buried.ok("dead", "replay", "bad-1").startswith("1 of 1 dead jobs replayed (--until ")
    assert buried.json("jobs", "show", "bad-1")["state"] == "waiting"
    assert buried.json("dead", "replay", "--all")["moved"] == 1
    assert buried.ok("dead", "list") == "no dead jobs\n"


def test_everything_is_moved_only_when_asked_for(buried: Cli) -> None:
    for action in ("replay", "remove"):
        refused = buried("dead", action)
        assert (refused.exit_code, "--all" in refused.stderr) == (2, True)
    assert buried.ok("dead", "remove", "--queue", "shop").startswith("2 of 2 dead jobs removed")
    assert buried.ok("jobs", "list") == "no jobs\n"


@pytest.mark.parametrize("moment", ["2026-12-01T08:00", "soon"])
def test_a_bound_of_time_is_a_moment_or_how_long_ago(connected: Cli, moment: str) -> None:
    refused = connected("dead", "list", "--since", moment)
    assert (refused.exit_code, "expected" in refused.stderr) == (2, True)

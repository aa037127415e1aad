"""The event stream from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import redis

from flowzz.queues import keys

from .conftest import Cli


def test_the_newest_and_those_after_an_id(connected: Cli) -> None:
    for name in ("a", "b", "c"):
        connected.ok("enqueue", "shop.pack", "--id", name)
    lines = connected.ok("events", "--limit", "2").splitlines()
    assert [line.split()[2:] for line in lines] == [["waiting", "shop", "b"], ["waiting", "shop", "c"]]
    first = json.loads(connected.ok("events", "--since", "0", "--limit", "1", "--json"))
    assert (first["name"], first["queue"], first["subject"]) == ("waiting", "shop", "a")
    after = connected.ok("events", "--since", first["id"])
    assert [line.split()[-1] for line in after.splitlines()] == ["b", "c"]
    assert connected("events", "--since", "yesterday").exit_code == 1


def test_following_shows_what_happens_next(connected: Cli) -> None:
    connected.ok("enqueue", "shop.pack", "--id", "before")
    words = [sys.executable, "-u", "-m", "flowzz.cli", "events", "--follow", "--json"]
    with subprocess.Popen(words, env={**os.environ, **connected.env}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["subject"] == "before"
        connected.ok("enqueue", "shop.pack", "--id", "after")
        assert json.loads(process.stdout.readline())["subject"] == "after"
        process.terminate()


def test_who_comes_too_late_is_told_on_stderr(connected: Cli) -> None:
    for name in ("a", "b", "c"):
        connected.ok("enqueue", "shop.pack", "--id", name)
    first, _, last = (json.loads(line)["id"] for line in connected.ok("events", "--since", "0", "--json").splitlines())
    with redis.Redis.from_url(connected.env["REDIS_URL"]) as raw:
        raw.xtrim(keys.EVENTS(), maxlen=1, approximate=False)
    result = connected("events", "--since", first, "--json")
    assert [json.loads(line)["subject"] for line in result.stdout.splitlines()] == ["c"]
    assert result.stderr == f"events after {first} are no longer kept; the oldest that is comes next: {last}\n"
    assert connected("events", "--since", last).stderr == ""

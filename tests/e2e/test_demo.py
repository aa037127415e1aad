"""`flowzz demo`: each plugin's jobs run once against its sandbox, and the outcome is told."""

from __future__ import annotations

import json
import re
import signal
import urllib.request

import pytest

from support.shop import OF_THIS_HOUSE
from support.waiting import eventually

from .conftest import Installation


def test_once_prints_one_json_object_and_exits_0_twice_in_a_row(installation: Installation) -> None:
    for _ in range(2):
        done = installation.run("demo", "--once", "--json", "--port", "0")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert [(job["job"], job["status"], job["result"]) for job in document["jobs"]] == [
            ("shop.pack", "completed", {"packed": 3, "leftOver": 0}),
            ("shop.pack", "completed", {"packed": 4, "leftOver": 0}),
        ]
        assert all(job["id"] and job["durationMs"] >= 0 and job["error"] is None for job in document["jobs"])
        assert document["url"].startswith("http://127.0.0.1:")
        assert "password" not in document["login"]
    up, _url = installation.up()
    companies = json.loads(installation.run("companies", "list", "--json").stdout)
    connections = json.loads(installation.run("connections", "list", "--json").stdout)
    assert ([company["name"] for company in companies], len(connections)) == (["Loja Demo"], 1)
    up.send_signal(signal.SIGTERM)
    assert up.wait(30) == 0


def test_it_keeps_serving_with_the_login_it_prints(installation: Installation) -> None:
    demo = installation.start("demo", "--port", "0")
    shown = eventually(lambda: "Stop it with Ctrl-C." in installation.out(demo) and installation.out(demo), 60)
    assert "3 packed, 0 left over" in shown
    found = re.search(r"(http://[^/]+)/admin.*?e-mail +(\S+).*?password +(\S+)", shown, re.DOTALL)
    assert found is not None
    body = json.dumps({"email": found[2], "password": found[3]}).encode()
    request = urllib.request.Request(f"{found[1]}/api/v1/auth/login", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["user"]["role"] == "ADMIN"
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(30) == 0
    assert found[3] not in installation.err(demo)


def test_a_job_that_fails_makes_it_exit_1(installation: Installation) -> None:
    installation.env["SHOP_DEMO_BREAKS"] = "1"
    done = installation.run("demo", "--once", "--json", "--port", "0")
    assert done.returncode == 1
    assert [job["status"] for job in json.loads(done.stdout)["jobs"]] == ["failed"]


def test_without_a_sandbox_it_says_what_to_install(installation: Installation) -> None:
    installation.env["FLOWZZ_DISABLED_PLUGINS"] = f"{OF_THIS_HOUSE},shop"
    done = installation.run("demo", "--once")
    assert done.returncode == 1
    assert "no loaded plugin has a sandbox" in done.stderr


@pytest.mark.parametrize("plugin", ["coinzz"])
def test_the_plugins_of_this_house(installation: Installation, plugin: str) -> None:
    installation.env["FLOWZZ_DISABLED_PLUGINS"] = "shop"
    done = installation.run("demo", "--once", "--json", "--port", "0")
    assert done.returncode == 0, done.stderr
    jobs = {job["job"]: job for job in json.loads(done.stdout)["jobs"]}
    assert jobs["coinzz.sync_sales"]["result"]["synced"] > 0
    assert jobs["coinzz.sync_sales"]["result"]["errors"] == 0

"""`flowzz demo`: each plugin's jobs run once against its sandbox, and the outcome is told."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import urllib.request
from contextlib import closing
from decimal import Decimal

import pytest
from openpyxl import load_workbook

from flowzz_report import wording
from support.pages import text_of
from support.shop import OF_THIS_HOUSE
from support.waiting import eventually

from .conftest import Installation

COUNTING = """
    SELECT count(*), sum(final_price) FROM coinzz_orders WHERE order_group = 'paid' AND deleted_at IS NULL
    AND (shipping_group = 'delivered' OR (payment_method <> 'afterpay' AND shipping_group IN ('to_ship', 'moving')))
"""
"""The sales that are revenue: delivered, or paid in advance and on their way."""


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
    outcome = json.loads(done.stdout)["jobs"]
    jobs = {job["job"]: job for job in outcome}
    assert {job["status"] for job in outcome} == {"completed"}
    assert jobs["coinzz.sync_sales"]["result"]["synced"] > 0
    assert jobs["coinzz.sync_sales"]["result"]["errors"] == 0
    ads = jobs["facebook.sync_campaigns"]["result"]
    assert (ads["campaigns"], ads["adSets"], ads["ads"], ads["errors"]) == (3, 6, 24, 0)
    assert ads["insights"] > 1000
    assert len([job for job in outcome if job["job"] == "report.generate"]) == 2
    _the_reports_say_what_was_synced(installation)


def _the_reports_say_what_was_synced(installation: Installation) -> None:
    """The workbook's figures, and the page's, are the sums of the rows in the database."""
    with closing(sqlite3.connect(installation.home / "flowzz.db")) as database:
        count, amount = database.execute("SELECT count(*), sum(final_price) FROM coinzz_orders").fetchone()
        sales, revenue = database.execute(COUNTING).fetchone()
    (sheet,) = (installation.home / "reports").rglob("*.xlsx")
    book = load_workbook(sheet, data_only=True)
    figures = {row[0]: row[1] for row in book["Resumo"].iter_rows(values_only=True) if row[0]}
    total = list(book["Pedidos"].iter_rows(values_only=True))[-1]
    assert (figures["Pedidos"], book["Pedidos"].max_row - 2) == (count, count)
    assert round(total[4] * 10_000) == amount
    assert (figures["Vendas"], round(figures["Receita"] * 10_000)) == (sales, revenue)
    assert 0 < sales < count
    (page,) = (installation.home / "reports").rglob("*.pdf")
    text = text_of(page)
    sums = (wording.money(Decimal(one).scaleb(-4), "BRL") for one in (amount, revenue))
    for said in (*sums, wording.number(count), wording.number(sales)):
        assert said.replace(wording.FIXED, " ") in text

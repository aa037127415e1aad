"""Public pages of plugins: nobody is asked who they are, they only read, and what their links carry stays unlogged."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from flowzz.app import Flowzz
from flowzz.plugins.contributions import Plugin, PublicPages
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz_web import create_app
from flowzz_web.problems import Problem
from flowzz_web.request_log import TokenFilter
from support.visiting import HTML


def reading() -> Blueprint:
    blueprint = Blueprint("admin", __name__)

    @blueprint.get("/<int:number>")
    def one(number: int) -> str:
        if number == 0:
            raise Problem(410, "gone", "there is nothing here any more")
        return f"number {number}"

    return blueprint


def writing() -> Blueprint:
    blueprint = Blueprint("writing", __name__)
    blueprint.add_url_rule("/", "index", lambda: "written", methods=["GET", "POST"])
    return blueprint


def plugin(name: str, blueprint: Any) -> Plugin:
    class Hooks:
        @hookimpl
        def flowzz_public_pages(self) -> list[PublicPages]:
            return [PublicPages(plugin=name, blueprint=blueprint)]

    return Plugin(name=name, title=name.title(), api=">=1.2,<2", hooks=Hooks())


@pytest.fixture
def flowzz(prepared_home: Path, settings: Settings) -> Iterator[Flowzz]:
    shutil.copytree(prepared_home, settings.home)
    given = [plugin("parcels", reading), plugin("writes", writing), plugin("broken", lambda: 1 / 0)]
    with Flowzz.open(settings, plugins=PluginHost.of(given)) as opened:
        yield opened


def test_nobody_has_to_sign_in_and_the_link_is_not_told_on(client: FlaskClient) -> None:
    answer = client.get("/public/parcels/7")
    assert (answer.status_code, answer.text) == (200, "number 7")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_refusal_is_a_page_for_people_and_a_problem_for_programs(client: FlaskClient) -> None:
    page = client.get("/public/parcels/0", headers=HTML)
    assert (page.status_code, page.mimetype) == (410, "text/html")
    assert "there is nothing here any more" in page.text
    assert client.get("/public/parcels/0").get_json()["type"] == "urn:flowzz:problem:gone"


def test_pages_that_write_or_break_are_not_mounted(flowzz: Flowzz) -> None:
    with capture_logs() as logs:
        client = create_app(flowzz).test_client()
    assert {entry["plugin"] for entry in logs if "cannot be shown" in entry["event"]} == {"writes", "broken"}
    assert client.get("/public/writes/").status_code == 404
    assert client.post("/public/writes/").status_code == 404


def test_the_rest_of_the_web_stays_closed(app: Flask, client: FlaskClient) -> None:
    assert {rule.endpoint for rule in app.url_map.iter_rules() if "parcels" in rule.rule} == {"public_parcels.one"}
    assert client.get("/admin/queues").status_code == 401


def test_servers_do_not_log_a_signature() -> None:
    record = logging.LogRecord("werkzeug", 20, "", 0, '"GET %s"', ("/public/x/1?expires=5&signature=5ec7e7",), None)
    TokenFilter().filter(record)
    assert record.getMessage() == '"GET /public/x/1?expires=5&signature=•••"'

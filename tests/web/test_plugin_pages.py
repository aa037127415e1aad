"""Pages of plugins: in the admin, behind its gate, in both languages; a broken one costs only itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from flask import Blueprint, Flask, render_template_string
from flask.testing import FlaskClient
from jinja2 import DictLoader
from structlog.testing import capture_logs

from flowzz.app import Flowzz
from flowzz.plugins.contributions import AdminPages, Plugin, Webhook, WebhookReply
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz_web import create_app
from flowzz_web.languages import translate as _
from support.visiting import HTML

PAGE = """{% extends "page.html" %}{% block title %}{{ _("Parcels") }}{% endblock %}
{% block live %}<h1>{{ said }}</h1><a href="{{ url_for('.one', number=7) }}">7</a>
<form method="post" action="{{ url_for('.send') }}"><input type="hidden" name="csrf_token" value="{{ csrf_token() }}">
</form>{% endblock %}"""


def pages() -> Blueprint:
    # The name is one that the gate lets pass, if a plugin could choose it.
    blueprint = Blueprint("auth", __name__)
    blueprint.jinja_loader = DictLoader({"page.html": "hijacked", "login.html": "hijacked"})  # type: ignore[misc]

    @blueprint.get("/")
    def index() -> str:
        return render_template_string(PAGE, said=_("Parcels") + " " + _("Plugins"))

    @blueprint.get("/<int:number>")
    def one(number: int) -> str:
        return render_template_string(PAGE, said=100 // number)

    @blueprint.post("/send")
    def send() -> tuple[str, int]:
        return "sent", 201

    for word in ("weighed", "lost"):
        blueprint.add_url_rule(f"/{word}", endpoint=word, view_func=partial(tell, word), methods=["GET", "POST"])
    return blueprint


def tell(word: str) -> str:
    return word


def without_home() -> Blueprint:
    return Blueprint("lost", __name__)


def plugin(name: str, blueprint: Any, translations: Path | None = None) -> Plugin:
    class Hooks:
        @hookimpl
        def flowzz_admin_pages(self) -> list[AdminPages]:
            return [AdminPages(plugin=name, title="Parcels", blueprint=blueprint, translations=translations)]

        @hookimpl
        def flowzz_webhooks(self) -> list[Webhook]:
            reply = WebhookReply(text="1158201444")
            return [Webhook(plugin=name, receive=lambda *_: reply, challenge=lambda asked, connection: reply)]

    return Plugin(name=name, title=name.title(), api=">=1.2,<2", hooks=Hooks())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts of the plugin's own, and another idea of what one of the admin's means."""
    catalog = Catalog(locale="pt_BR")
    catalog.add("Parcels", "Encomendas")
    catalog.add("Plugins", "Outra coisa")
    made = tmp_path / "texts"
    (made / "pt_BR/LC_MESSAGES").mkdir(parents=True)
    with (made / "pt_BR/LC_MESSAGES/messages.mo").open("wb") as file:
        write_mo(file, catalog)
    return made


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    made = tmp_path / "damaged"
    (made / "pt_BR/LC_MESSAGES").mkdir(parents=True)
    (made / "pt_BR/LC_MESSAGES/messages.mo").write_bytes(b"nonsense")
    return made


@pytest.fixture
def flowzz(prepared_home: Path, settings: Settings, folder: Path, damaged: Path) -> Iterator[Flowzz]:
    shutil.copytree(prepared_home, settings.home)
    given = [
        plugin("parcels", pages, folder),
        plugin("broken", lambda: 1 / 0),
        plugin("lost", without_home),
        plugin("text", lambda: "no blueprint", damaged),
    ]
    with Flowzz.open(settings, plugins=PluginHost.of(given)) as opened:
        yield opened


def test_only_an_admin_gets_in(as_role: Any) -> None:
    assert as_role(Role.ADMIN).get("/admin/plugins/parcels/", headers=HTML).status_code == 200
    assert as_role(Role.VIEWER).get("/admin/plugins/parcels/", headers=HTML).status_code == 403
    stranger = as_role(None)
    assert stranger.get("/admin/plugins/parcels/").status_code == 401
    sent_on = stranger.get("/admin/plugins/parcels/", headers=HTML)
    assert (sent_on.status_code, sent_on.headers["Location"]) == (303, "/login?next=/admin/plugins/parcels/")


def test_the_navigation_leads_there_in_both_languages_and_our_own_words_win(as_role: Any) -> None:
    browser = as_role(Role.ADMIN)
    page = browser.get("/admin/plugins/parcels/", headers=HTML).text
    assert '<a href="/admin/plugins/parcels/" aria-current="page">Parcels</a>' in page
    assert '<a href="/admin/plugins/parcels/7">' in page
    page = browser.get("/admin/plugins/parcels/?lang=pt_BR", headers=HTML).text
    assert ">Encomendas</a>" in page
    assert "<h1>Encomendas Plugins</h1>" in page
    assert 'href="/admin/plugins/parcels/">Encomendas</a>' in browser.get("/admin/plugins", headers=HTML).text


def test_csrf_and_the_content_policy_hold_there_too(as_role: Any) -> None:
    browser: FlaskClient = as_role(Role.ADMIN)
    assert browser.post("/admin/plugins/parcels/send").status_code == 403
    page = browser.get("/admin/plugins/parcels/", headers=HTML)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    token = page.text.split('name="csrf_token" value="')[-1].split('"')[0]
    answer = browser.post("/admin/plugins/parcels/send", data={"csrf_token": token})
    assert (answer.status_code, answer.text) == (201, "sent")


def test_a_view_without_a_name_is_answered_too(as_role: Any) -> None:
    """Libraries that look at every request go by the names of views; a partial has none."""
    browser: FlaskClient = as_role(Role.ADMIN)
    token = browser.get("/admin/plugins/parcels/").text.split('name="csrf_token" value="')[-1].split('"')[0]
    for word in ("weighed", "lost"):
        address = f"/admin/plugins/parcels/{word}"
        assert (browser.get(address).status_code, browser.get(address).text) == (200, word)
        assert browser.post(address, data={"csrf_token": token}).text == word
        assert browser.post(address).status_code == 403


def test_whatever_is_answered_is_logged_with_its_time(flowzz: Flowzz) -> None:
    """Also what a part of the web refuses before the request comes to its view."""
    app = create_app(flowzz)
    order = [function.__module__ for function in app.before_request_funcs[None]]
    assert order[0] == "flowzz_web.request_log"
    with capture_logs() as logs:
        app.test_client().get("/admin/plugins/parcels/")
    (entry,) = (entry for entry in logs if entry["event"] == "answered")
    assert entry["status"] == 401
    assert entry["took_ms"] >= 0


def test_a_mistake_on_a_page_is_an_error_page_of_the_admin(as_role: Any) -> None:
    answer = as_role(Role.ADMIN).get("/admin/plugins/parcels/0", headers=HTML)
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "Flowzz" in answer.text


def test_pages_that_cannot_be_made_cost_only_themselves(flowzz: Flowzz) -> None:
    with capture_logs() as logs:
        app = create_app(flowzz)
    said = {entry["plugin"] for entry in logs if entry["event"] == "the pages of a plugin cannot be shown"}
    assert said == {"broken", "lost", "text"}
    assert {entry["plugin"] for entry in logs if "texts" in entry["event"]} == {"text"}
    client = app.test_client()
    assert "hijacked" not in client.get("/login", headers=HTML).text


def test_a_challenge_is_answered_as_text_to_who_has_the_token(client: FlaskClient, flowzz: Flowzz) -> None:
    company = flowzz.store.add_company("Loja Aurora")
    token = flowzz.store.add_connection(company.id, "parcels", "main", {}, {})[1]
    answer = client.get(f"/webhooks/parcels/{token}?hub.challenge=1158201444")
    assert (answer.status_code, answer.text, answer.mimetype) == (200, "1158201444", "text/plain")
    assert client.get("/webhooks/parcels/wrong").status_code == 404
    assert client.post(f"/webhooks/parcels/{token}", data=b"x").text == "1158201444"


def test_a_damaged_blueprint_name_does_not_open_the_gate(app: Flask) -> None:
    names = {rule.endpoint.rpartition(".")[0] for rule in app.url_map.iter_rules() if "parcels" in rule.rule}
    assert names == {"plugin_parcels"}

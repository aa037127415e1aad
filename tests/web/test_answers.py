"""What every answer carries, how failures look, and what the log says of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from flowzz.plugins.host import PluginHost
from flowzz.store import Role
from flowzz_web import create_sandbox
from flowzz_web.request_log import redact_path
from support.visiting import HTML, csrf_token

PATHS = ("/login", "/admin/queues", "/api/v1/queues", "/health/queues", "/livez", "/static/app.css", "/nowhere")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    with client.get(path, headers=HTML) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers
    if not path.startswith("/static"):
        assert headers["Cache-Control"] == "no-store"


def test_pages_carry_no_inline_script_or_style(as_role: Callable[[Role], FlaskClient]) -> None:
    for path in ("/admin/queues", "/admin/queues/whatsapp", "/admin/plugins"):
        page = as_role(Role.ADMIN).get(path, headers=HTML).text
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert page.count("<script") == page.count('<script type="module" src="/static/')


def test_a_versioned_file_is_kept_for_ever_and_others_are_asked_for_again(client: FlaskClient) -> None:
    for path, kept in (("app.css?v=1", "immutable"), ("js/morph.js", "no-cache"), ("gone.css?v=1", "no-cache")):
        with client.get(f"/static/{path}") as answer:
            assert kept in answer.headers["Cache-Control"], path


def test_a_mistake_of_ours_shows_an_incident_and_no_trace(app: Flask, as_role: Callable[[Role], FlaskClient]) -> None:
    app.add_url_rule("/admin/boom", "admin.boom", lambda: 1 / 0)
    browser = as_role(Role.ADMIN)
    with capture_logs() as logs:
        page = browser.get("/admin/boom", headers=HTML)
        problem = browser.get("/admin/boom")
    assert (page.status_code, problem.status_code) == (500, 500)
    failed = [entry for entry in logs if entry["event"] == "request failed"]
    assert isinstance(failed[0]["exc_info"], ZeroDivisionError)
    assert failed[0]["incident"] in page.text
    assert failed[1]["incident"] in problem.json["detail"]
    assert "ZeroDivisionError" not in page.text + problem.text


def test_a_database_that_is_away_is_503(
    app: Flask, client: FlaskClient, as_role: Callable[[Role], FlaskClient]
) -> None:
    def away() -> None:
        raise OperationalError("select secret", {}, Exception("no such host"))

    app.add_url_rule("/admin/away", "admin.away", away)
    browser = as_role(Role.ADMIN)
    page = browser.get("/admin/away", headers=HTML)
    assert page.status_code == 503
    assert "The database cannot be reached" in page.text
    assert "secret" not in page.text + browser.get("/admin/away").text


def test_an_unknown_page_says_so_to_people_and_to_programs(client: FlaskClient) -> None:
    page, problem = client.get("/nowhere", headers=HTML), client.get("/nowhere")
    assert "Nothing is here" in page.text
    assert (problem.status_code, problem.mimetype) == (404, "application/problem+json")


def test_a_form_from_another_site_is_refused(as_role: Callable[[Role], FlaskClient]) -> None:
    browser = as_role(Role.ADMIN)
    form = {"csrf_token": csrf_token(browser, "/admin/queues")}
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        answer = browser.post("/admin/queues/whatsapp/pause", data=form, headers={"Sec-Fetch-Site": site, **HTML})
        assert answer.status_code == status


def test_each_request_is_one_line_and_cannot_forge_another(as_role: Callable[[Role], FlaskClient]) -> None:
    browser = as_role(Role.ADMIN)
    with capture_logs() as logs:
        browser.get("/admin/queues/a%0aINFO%20forged?token=secret")
    assert [entry["path"] for entry in logs if entry["event"] == "answered"] == ["/admin/queues/a%0AINFO%20forged"]
    assert "secret" not in repr(logs)


@pytest.mark.parametrize("name", ["gunicorn.error", "gunicorn.access", "werkzeug"])
def test_what_servers_log_by_themselves_hides_tokens_too(
    app: Flask, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, name):
        logging.getLogger(name).info('"%s" %s', "POST /webhooks/coinzz/abc.def HTTP/1.1", "200")
    assert caplog.messages == ['"POST /webhooks/coinzz/••• HTTP/1.1" 200']


def test_redaction_leaves_other_paths_alone() -> None:
    assert redact_path("/admin/queues/webhooks") == "/admin/queues/webhooks"
    assert redact_path("/public/report/1?signature=ab12&expires=9") == "/public/report/1?signature=•••&expires=9"
    assert redact_path("/webhooks/coinzz/a.b?hub.verify_token=secret") == "/webhooks/coinzz/•••"


def test_the_sandbox_lists_what_there_is() -> None:
    answer = create_sandbox(PluginHost.of([])).test_client().get("/")
    assert answer.json == {"sandboxes": []}

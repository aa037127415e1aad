"""Signing in with a browser, staying signed in, and getting out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz_web import create_app
from support.visiting import HTML, PASSWORD, csrf_token, sign_in


def test_the_right_password_leads_to_the_queues(client: FlaskClient, flowzz: Flowzz) -> None:
    answer = sign_in(client)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/queues")
    assert client.get("/admin/queues", headers=HTML).status_code == 200
    assert flowzz.store.audit()[0].action == "session.start"


@pytest.mark.parametrize(
    ("email", "password"),
    [("admin@flowzz.example", "wrong"), ("nobody@flowzz.example", PASSWORD), ("", ""), ("admin@flowzz.example", "")],
)
def test_every_failure_gets_the_same_answer(client: FlaskClient, email: str, password: str) -> None:
    answer = sign_in(client, email, password)
    assert answer.status_code == 401
    assert "E-mail or password is wrong." in answer.text
    assert client.get("/admin/queues").status_code == 401


def test_without_the_csrf_token_nothing_happens(client: FlaskClient) -> None:
    answer = client.post("/login", data={"email": "admin@flowzz.example", "password": PASSWORD}, headers=HTML)
    assert answer.status_code == 403
    assert client.get("/admin/queues").status_code == 401


@pytest.mark.parametrize("target", ["/admin/plugins", "/admin/queues/sync-coinzz?state=failed"])
def test_it_goes_on_to_where_the_visitor_wanted(client: FlaskClient, target: str) -> None:
    assert sign_in(client, next=target).headers["Location"] == target


def test_the_wish_travels_from_the_refused_page_through_the_form(client: FlaskClient) -> None:
    sent = client.get("/admin/queues/sync-coinzz?state=failed", headers=HTML).headers["Location"]
    page = client.get(sent, headers=HTML).text
    assert 'name="next" value="/admin/queues/sync-coinzz?state=failed"' in page


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "\n//evil.example",
        "javascript:alert(1)",
        "admin/queues",
        "",
    ],
)
def test_it_never_leads_to_another_site(client: FlaskClient, target: str) -> None:
    assert sign_in(client, next=target).headers["Location"] == "/admin/queues"


def test_guessing_is_slowed_per_account_and_a_success_forgets(client: FlaskClient) -> None:
    for _ in range(4):
        assert sign_in(client, password="wrong").status_code == 401
    assert sign_in(client).status_code == 303
    client.delete_cookie("flowzz_session")
    for _ in range(5):
        assert sign_in(client, password="wrong").status_code == 401
    refused = sign_in(client)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert sign_in(client, "viewer@flowzz.example").status_code == 303


def test_page_and_api_count_together_and_another_address_is_not_locked_out(client: FlaskClient) -> None:
    for _ in range(5):
        sign_in(client, password="wrong")
    login = {"email": "ADMIN@flowzz.example", "password": PASSWORD}
    assert client.post("/api/v1/auth/login", json=login).status_code == 429
    elsewhere = client.post("/api/v1/auth/login", json=login, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert elsewhere.status_code == 200


def test_it_starts_a_new_session(client: FlaskClient) -> None:
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
    sign_in(client)
    with client.session_transaction() as session:
        assert "planted" not in session


def test_thirty_idle_minutes_end_the_session(as_role: Callable[[Role], FlaskClient]) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        client = as_role(Role.ADMIN)
        clock.shift(timedelta(minutes=29))
        assert client.get("/admin/queues").status_code == 200
        clock.shift(timedelta(minutes=29))
        assert client.get("/admin/queues").status_code == 200
        clock.shift(timedelta(minutes=31))
        assert client.get("/admin/queues").status_code == 401


def test_twelve_hours_end_it_however_busy(as_role: Callable[[Role], FlaskClient]) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        client = as_role(Role.ADMIN)
        for _ in range(36):
            assert client.get("/admin/queues").status_code == 200
            clock.shift(timedelta(minutes=20, seconds=1))
        assert client.get("/admin/queues").status_code == 401


def test_a_page_that_refreshes_itself_is_no_activity(as_role: Callable[[Role], FlaskClient]) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        client = as_role(Role.ADMIN)
        for _ in range(3):
            clock.shift(timedelta(minutes=10))
            assert client.get("/admin/queues", headers={"X-Flowzz-Fragment": "live", **HTML}).status_code == 200
        clock.shift(timedelta(minutes=1))
        refused = client.get("/admin/queues", headers={"X-Flowzz-Fragment": "live", **HTML})
        assert refused.status_code == 401


def test_signing_out_ends_it(as_role: Callable[[Role], FlaskClient]) -> None:
    client = as_role(Role.ADMIN)
    token = csrf_token(client, "/admin/queues")
    assert client.post("/logout", data={"csrf_token": token}).headers["Location"] == "/login"
    assert client.get("/admin/queues").status_code == 401


def test_who_is_signed_in_need_not_sign_in_again(as_role: Callable[[Role], FlaskClient]) -> None:
    assert as_role(Role.ADMIN).get("/login", headers=HTML).headers["Location"] == "/admin/queues"


def test_the_cookie_is_guarded(client: FlaskClient) -> None:
    cookie = sign_in(client).headers["Set-Cookie"]
    assert cookie.startswith("flowzz_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_over_https_the_cookie_is_secure_and_bound_to_the_host(flowzz: Flowzz) -> None:
    settings = flowzz.settings.model_copy(update={"public_url": "https://flowzz.example"})
    client = app_with(flowzz, settings).test_client()
    answer = client.get("/login", base_url="https://flowzz.example", headers=HTML)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-flowzz=")
    assert "Secure" in cookie
    assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]


def app_with(flowzz: Flowzz, settings: Settings) -> Flask:
    return create_app(Flowzz(settings, PluginHost.of([]), flowzz.store, flowzz.queues))

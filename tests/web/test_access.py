"""Who may go where: every route of the admin and the API, asked by everybody. The list is the application's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from flowzz.app import Flowzz
from flowzz.store import Role

ARGUMENTS = {
    "queue": "sync-coinzz",
    "job_id": "no-such-job",
    "connection_id": "no-such-connection",
    "batch_id": "no-such-batch",
    "kind": "company",
    "name": "loja-1",
}
STRANGERS_MAY = {"/api/v1/auth/login"}


def guarded(app: Flask) -> list[tuple[str, str]]:
    """(method, path) of every route under /admin and /api that asks who comes."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(("/admin", "/api")) and rule.rule not in STRANGERS_MAY:
            found += [(method, _path(app, rule)) for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"})]
    assert len(found) > 12, "the URL map lost its routes"
    return found


def _path(app: Flask, rule: Rule) -> str:
    adapter = app.url_map.bind("localhost")
    return adapter.build(rule.endpoint, {name: ARGUMENTS[name] for name in rule.arguments}, method=None)


def test_a_stranger_gets_401_and_a_challenge_everywhere(app: Flask, client: FlaskClient) -> None:
    for method, path in guarded(app):
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json"), (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer"), (method, path)


def test_a_browser_that_is_a_stranger_is_sent_to_sign_in(app: Flask, client: FlaskClient) -> None:
    for method, path in guarded(app):
        answer = client.open(path, method=method, headers={"Accept": "text/html,application/xhtml+xml"})
        if path.startswith("/api"):
            assert answer.status_code == 401, (method, path)
        else:
            assert answer.status_code == 303, (method, path)
            assert answer.headers["Location"].startswith("/login"), (method, path)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_other_roles_get_403_everywhere(
    app: Flask, client: FlaskClient, bearer: Callable[[Role], dict[str, str]], role: Role
) -> None:
    headers = bearer(role)
    for method, path in guarded(app):
        answer = client.open(path, method=method, headers=headers)
        assert (answer.status_code, answer.mimetype) == (403, "application/problem+json"), (method, path)
        assert "ADMIN" in answer.json["detail"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_other_roles_see_a_page_that_says_what_they_miss(
    app: Flask, as_role: Callable[[Role], FlaskClient], role: Role
) -> None:
    client = as_role(role)
    for method, path in guarded(app):
        if path.startswith("/api"):
            continue
        answer = client.open(path, method=method, headers={"Accept": "text/html"})
        assert answer.status_code == 403, (method, path)
        assert f"the role {role.wire}" in answer.text
        assert "needs the role ADMIN" in answer.text


def test_an_admin_is_let_in_everywhere(app: Flask, client: FlaskClient, bearer: Callable[[], dict[str, str]]) -> None:
    headers = bearer()
    for method, path in guarded(app):
        if method == "GET" or path.startswith("/api"):
            answer = client.open(path, method=method, headers=headers)
            assert answer.status_code in (200, 202, 204, 302, 404, 415, 422), (method, path, answer.status_code)


def test_a_session_opens_the_admin_but_not_the_api(as_role: Callable[[Role], FlaskClient]) -> None:
    client = as_role(Role.ADMIN)
    assert client.get("/admin/queues").status_code == 200
    assert client.get("/api/v1/queues").status_code == 401


def test_a_deactivated_admin_is_out_at_once(
    flowzz: Flowzz, as_role: Callable[[Role], FlaskClient], client: FlaskClient, bearer: Callable[[], dict[str, str]]
) -> None:
    browser, headers = as_role(Role.ADMIN), bearer()
    user = flowzz.store.user_by_email("admin@flowzz.example")
    assert user is not None
    flowzz.store.set_user_active(user.id, False)
    assert browser.get("/admin/queues").status_code == 401
    assert client.get("/api/v1/queues", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer a.b.c"}]
)
def test_a_header_that_does_not_count_is_401_even_with_a_session(
    as_role: Callable[[Role], FlaskClient], headers: dict[str, str]
) -> None:
    assert as_role(Role.ADMIN).get("/admin/queues", headers=headers).status_code == 401


def test_a_new_route_is_closed_until_it_says_otherwise(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/new", "new", lambda: "open")
    assert client.get("/new").status_code == 401


def test_public_routes_are_these_and_no_others(app: Flask) -> None:
    public = {rule.rule for rule in app.url_map.iter_rules()} - {
        rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith(("/admin", "/api"))
    }
    assert public == {
        "/",
        "/login",
        "/logout",
        "/health/connections",
        "/health/queues",
        "/livez",
        "/static/<path:filename>",
        "/webhooks/<plugin>/<token>",
    }

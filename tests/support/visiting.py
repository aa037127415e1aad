"""A browser without a screen: what people do with the pages, through Flask's test client."""

from __future__ import annotations

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"
HTML = {"Accept": "text/html"}


def csrf_token(client: FlaskClient, page: str = "/login") -> str:
    """The token in the first form of a page."""
    return client.get(page, headers=HTML).text.partition('name="csrf_token" value="')[2].partition('"')[0]


def sign_in(
    client: FlaskClient, email: str = "admin@flowzz.example", password: str = PASSWORD, **form: str
) -> TestResponse:
    """Fill in the sign-in page and send it."""
    data = {"email": email, "password": password, "csrf_token": csrf_token(client), **form}
    return client.post("/login", data=data, headers=HTML)


def post(client: FlaskClient, path: str, **form: str) -> TestResponse:
    """Send a form of the admin, with the token of a page that this session sees."""
    data = {"csrf_token": csrf_token(client, "/admin/queues"), **form}
    return client.post(path, data=data, headers=HTML)


def api_headers(client: FlaskClient, email: str = "admin@flowzz.example") -> dict[str, str]:
    """Those of a program that logs in with the password."""
    login = client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    return {"Authorization": f"Bearer {login.json['token']}"}


def states_of_connections(client: FlaskClient) -> dict[str, tuple[str, str | None]]:
    """What the API answers an administrator's program: id → state and its reason."""
    answer = client.get("/api/v1/connections", headers=api_headers(client))
    assert answer.status_code == 200, answer.text
    return {one["id"]: (one["state"], one["stateReason"]) for one in answer.json["connections"]}

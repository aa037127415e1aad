"""Webhooks in: the token opens the door, the plugin takes what comes, and no log ever learns the token."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
import structlog
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from flowzz.app import Flowzz
from flowzz.errors import QueueUnavailable
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import StorePort
from flowzz.plugins.contributions import EnqueuePort, Plugin, Webhook, WebhookReply, WebhookRequest
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings

taken: list[tuple[WebhookRequest, Connection]] = []


def receive(request: WebhookRequest, connection: Connection, store: StorePort, queue: EnqueuePort) -> WebhookReply:
    """Takes it; a body of ``down`` meets a dead Redis, ``bug`` a mistake in the plugin."""
    taken.append((request, connection))
    if request.body == b"down":
        raise QueueUnavailable
    if request.body == b"bug":
        raise ZeroDivisionError("the plugin's own mistake")
    return WebhookReply(202, {"taken": len(request.body)})


class Hooks:
    @hookimpl
    def flowzz_webhooks(self) -> list[Webhook]:
        return [Webhook(plugin="mail", receive=receive, max_bytes=1000)]


@pytest.fixture
def flowzz(settings: Settings) -> Iterator[Flowzz]:
    plugin = Plugin(name="mail", title="Mail", api=">=1,<2", hooks=Hooks())
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def token(flowzz: Flowzz) -> str:
    taken.clear()
    company = flowzz.store.add_company("Loja Aurora")
    return flowzz.store.add_connection(company.id, "mail", "main", {}, {})[1]


def test_the_plugin_gets_it_as_it_came(client: FlaskClient, token: str) -> None:
    answer = client.post(f"/webhooks/mail/{token}?a=1", data=b"\x00raw", headers={"X-Signature": "s"})
    assert (answer.status_code, answer.json) == (202, {"taken": 4})
    request, connection = taken[0]
    assert (request.body, request.query, request.headers["x-signature"]) == (b"\x00raw", {"a": "1"}, "s")
    assert connection.plugin == "mail"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_wrong_token_and_wrong_plugin_get_the_same_answer(client: FlaskClient, token: str) -> None:
    answers = [
        client.post(f"/webhooks/{plugin}/{key}", data=b"x")
        for plugin, key in (("mail", token[:-1] + "~"), ("mail", "nonsense"), ("other", token))
    ]
    assert {(answer.status_code, answer.text, answer.mimetype) for answer in answers} == {
        (404, answers[0].text, "application/problem+json")
    }
    assert not taken


def test_too_large_is_413_and_not_handed_on(client: FlaskClient, token: str) -> None:
    assert client.post(f"/webhooks/mail/{token}", data=b"x" * 1000).status_code == 202
    answer = client.post(f"/webhooks/mail/{token}", data=b"x" * 1001)
    assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")
    assert len(taken) == 1


def test_a_chunked_body_has_the_same_bound(client: FlaskClient, token: str) -> None:
    for size, status in ((1000, 202), (1001, 413), (100_000, 413)):
        chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        answer = client.post(f"/webhooks/mail/{token}", input_stream=BytesIO(b"x" * size), environ_overrides=chunked)
        assert answer.status_code == status, size


def test_without_redis_the_upstream_is_asked_to_come_again(client: FlaskClient, token: str) -> None:
    answer = client.post(f"/webhooks/mail/{token}", data=b"down")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_other_methods_are_405_and_browsers_get_no_page(client: FlaskClient, token: str) -> None:
    answer = client.get(f"/webhooks/mail/{token}", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (405, "application/problem+json")
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


@pytest.mark.parametrize("body", [b"x", b"bug", b"down"])
@pytest.mark.parametrize("path", ["/webhooks/mail/{}", "/webhooks/mail/{}/more", "/WEBHOOKS/mail/{}"])
def test_no_log_learns_the_token(
    client: FlaskClient, token: str, path: str, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.reset_defaults()
    client.post(path.format(token), data=body)
    with capture_logs() as logs:
        client.post(path.format(token), data=body)
    printed = capsys.readouterr()
    assert token not in printed.out + printed.err
    assert logs
    assert token not in repr([{**entry, "exc_info": None} for entry in logs])
    assert any("/mail/•••" in str(entry.get("path")) for entry in logs)

"""What a message costs at the database, and which connections carry it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Keepalive  # type: ignore[import-untyped]
from sqlalchemy import event

from flowzz_whatsapp import client
from flowzz_whatsapp.client import CloudApi
from flowzz_whatsapp.errors import UnknownOutcome

ANSWER = b'{"messages": [{"id": "wamid.1"}], "contacts": [{"wa_id": "5511987654321"}]}'


class OnceEach:
    """An upstream that answers each connection's first request and resets it at the second: what a client sees whose
    idle connection is closed just while it posts.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
            request = b""
            while not request.endswith(b"}"):  # head and body may come apart
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            connection.sendall(head.encode() + ANSWER)
            connection.recv(1)  # the second request, or the client's goodbye

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def upstream_closing() -> Iterator[OnceEach]:
    server = OnceEach()
    yield server
    server.close()


def _api(company: Any, url: str) -> CloudApi:
    return CloudApi(company.settings.model_copy(update={"base_url": url}), company.connection.id)


def test_a_connection_that_lay_idle_carries_no_message(
    company: Any, upstream_closing: OnceEach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "IDLE_S", 0.0)
    api = _api(company, upstream_closing.url)
    assert [api.send({"place": place}).message_id for place in range(3)] == ["wamid.1"] * 3
    assert upstream_closing.connections == 3


def test_a_connection_in_use_carries_the_next_message(company: Any, upstream_closing: OnceEach) -> None:
    api = _api(company, upstream_closing.url)
    api.send({})
    with pytest.raises(UnknownOutcome):
        api.send({})
    assert upstream_closing.connections == 1


def test_we_close_idle_connections_before_the_sandboxs_server_does() -> None:
    assert Keepalive.default > client.IDLE_S


def test_a_message_takes_sqlites_write_lock_twice(company: Any, upstream: Any) -> None:
    """Before the post and after it; the look for early statuses is in the second."""
    upstream.settings(statuses=[])
    company.send(job_id="before")  # notes nothing that later ones do not
    begun: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("BEGIN"):
            begun.append(statement)

    event.listen(company.store.engine, "before_cursor_execute", note)
    company.send(job_id="job-2")
    event.remove(company.store.engine, "before_cursor_execute", note)
    assert begun.count("BEGIN IMMEDIATE") == 2

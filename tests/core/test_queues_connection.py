"""What a caller does while Redis works: once, after the command is sent, and never at the cost of its answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from flowzz.queues.connection import PatientClient, connect
from support.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator[PatientClient]:
    clients = connect(redis_url)
    assert isinstance(clients.commands, PatientClient)
    yield clients.commands
    clients.close()


def test_work_is_done_once_between_command_and_answer(client: PatientClient, raw: redis.Redis) -> None:
    seen: list[object] = []

    def work() -> None:
        eventually(lambda: raw.get("k") == b"2")
        seen.append(raw.get("k"))

    with client.meanwhile(work):
        assert client.set("k", "2") is True
        assert client.get("k") == b"2"
    assert client.get("k") == b"2"
    assert seen == [b"2"]


def test_an_answer_is_read_although_the_work_failed(client: PatientClient) -> None:
    def work() -> None:
        raise ZeroDivisionError

    client.set("k", "1")
    with pytest.raises(ZeroDivisionError), client.meanwhile(work):
        client.get("k")
    assert client.set("k", "3") is True
    assert client.get("k") == b"3"

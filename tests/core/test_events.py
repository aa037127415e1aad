"""The event stream: one event a transition, in order, from any point on, and as it happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import pytest

from flowzz.clock import now
from flowzz.errors import InvalidRequest
from flowzz.queues.engine import Queues
from flowzz.queues.events import Event
from support.engine import completed, ended, new_job, step


@pytest.fixture
def queues(redis_url: str) -> Iterator[Queues]:
    opened = Queues.open(redis_url)
    yield opened
    opened.close()


def told(events: list[Event]) -> list[tuple[str, str | None, str, str | None]]:
    return [(event.name, event.queue, event.subject, event.detail) for event in events]


def test_a_jobs_life_is_told_in_order_one_event_a_transition(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    first, second = step(queues).claims
    step(queues, completed(first), ended(second, "failed"), want=0)
    events = list(queues.events())
    assert told(events) == [
        ("waiting", "sync", "a", None),
        ("waiting", "sync", "b", None),
        ("active", "sync", "a", "w1"),
        ("active", "sync", "b", "w1"),
        ("completed", "sync", "a", "1"),
        ("failed", "sync", "b", "1"),
    ]
    assert [event.id.rpartition(".")[2] for event in events] == ["0", "1"] * 3
    assert all(abs(event.at - now()) < timedelta(minutes=1) for event in events)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_go_on_where_the_last_ended_even_inside_an_entry(queues: Queues, limit: int) -> None:
    for start in range(0, 12, 4):
        queues.transitions.enqueue([new_job(f"j{n}") for n in range(start, start + 4)])
    seen: list[str] = []
    since = "0"
    while page := queues.events_page(since, limit):
        assert len(page) <= limit
        seen += [event.subject for event in page]
        since = page[-1].id
    assert seen == [f"j{n}" for n in range(12)]
    assert [event.subject for event in queues.events_page(None, 3)] == ["j9", "j10", "j11"]
    assert list(queues.events(since)) == []


def test_what_follows_is_seen_as_it_happens(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("before")])
    seen: list[str] = []
    ready = threading.Event()

    def read() -> None:
        for event in islice(queues.events(block=timedelta(seconds=20)), 3):
            seen.append(event.subject)
            ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert ready.wait(10)
    queues.transitions.enqueue([new_job("x"), new_job("y")])
    reader.join(10)
    assert seen == ["before", "x", "y"]


def test_the_reader_ends_when_nothing_comes_within_its_time(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a")])
    assert [event.subject for event in queues.events("0", timedelta(milliseconds=50))] == ["a"]


def test_no_text_of_a_person_can_forge_an_event_or_move_a_field(queues: Queues) -> None:
    queues.pause("a|b\nfailed|sync|j|1", "x\nfailed|sync|j|2")
    queues.transitions.enqueue([new_job("j%7C", queue="q|1")])
    assert told(list(queues.events())) == [
        ("paused", None, "queue:a|b\nfailed|sync|j|1", "x failed|sync|j|2"),
        ("waiting", "q|1", "j%7C", None),
    ]


@pytest.mark.parametrize("since", ["", "x", "1-", "1-2-3", "1.2.3", "-1", "+", "$"])
def test_what_is_no_id_is_refused(queues: Queues, since: str) -> None:
    with pytest.raises(InvalidRequest, match="expected an event's id"):
        queues.events_page(since, 10)

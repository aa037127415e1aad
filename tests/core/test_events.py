"""The event stream: one event a transition, in order, from any point on, and as it happens."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import islice

import pytest
import redis

from flowzz.clock import now
from flowzz.errors import InvalidRequest
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.events import GAP, Event
from support.engine import completed, ended, new_job, step


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
    while page := queues.events_page(since, limit).items:
        assert len(page) <= limit
        seen += [event.subject for event in page]
        since = page[-1].id
    assert seen == [f"j{n}" for n in range(12)]
    assert [event.subject for event in queues.events_page(None, 3).items] == ["j9", "j10", "j11"]
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
    assert ready.wait(60)
    queues.transitions.enqueue([new_job("x"), new_job("y")])
    reader.join(60)
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


def trim_by_a_script(queues: Queues, raw: redis.Redis) -> None:
    """More happens than is kept, and the last transition lets go of the oldest, as it does in life."""
    pipeline = raw.pipeline(transaction=False)
    for n in range(10_200):
        pipeline.xadd(keys.EVENTS(), {"events": f"waiting|sync|filler{n}|"})
    pipeline.execute()
    queues.transitions.enqueue([new_job("last")])
    assert raw.xlen(keys.EVENTS()) < 10_200


def test_who_comes_too_late_is_told_that_events_are_missing(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("first"), new_job("second")])
    since = queues.events_page("0", 1).items[0].id
    assert not queues.events_page(since, 10).gap
    trim_by_a_script(queues, raw)
    page = queues.events_page(since, 10)
    assert page.gap
    gap, oldest = islice(queues.events(since), 2)
    assert (gap.name, gap.id, gap.subject) == (GAP, since, oldest.id)
    assert oldest == page.items[0]
    assert sum(event.name == GAP for event in queues.events(since)) == 1


def test_who_asks_for_what_is_kept_or_stands_in_it_has_no_gap(queues: Queues, raw: redis.Redis) -> None:
    assert not queues.events_page("5-0", 10).gap
    queues.transitions.enqueue([new_job("first")])
    assert not queues.events_page("5-0", 10).gap, "nothing was ever let go"
    trim_by_a_script(queues, raw)
    kept = queues.events_page("0", 3)
    newest = queues.events_page(None, 1)
    assert [page.gap for page in (kept, newest)] == [False, False]
    assert not queues.events_page(kept.items[0].id, 3).gap
    assert not queues.events_page(newest.items[0].id, 3).gap
    assert all(event.name != GAP for event in queues.events("0"))


def test_a_follower_that_falls_behind_is_told_where_it_missed_some(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("first")])
    reader = queues.events(block=timedelta(seconds=20))
    first = next(reader)
    trim_by_a_script(queues, raw)
    gap = next(reader)
    assert (first.subject, gap.name, gap.id) == ("first", GAP, first.id)
    assert next(reader).id == gap.subject

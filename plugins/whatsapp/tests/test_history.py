"""Statuses whose webhook never came are asked for, where the switch says so; it is an assumption, and says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from flowzz.clock import now
from flowzz.errors import Throttled
from flowzz_whatsapp.history import LookUpStatuses, companies_to_look_up, look_up_statuses
from flowzz_whatsapp.models import messages


def look_up(company: Any, recorder: Any) -> tuple[int, int]:
    done = look_up_statuses(company.context("look", recorder=recorder), LookUpStatuses(empresa_id=company.id))
    return done.asked, done.found


@pytest.fixture
def silent(each_store: Any, upstream: Any, connected: Any) -> Any:
    """A company with one message that was sent two hours ago and whose statuses never came."""
    company = connected(each_store, upstream.url, use_message_history=True)
    upstream.faults(no_statuses=True)
    company.send()
    past = now() - timedelta(hours=2)
    with each_store.session() as session:
        session.execute(update(messages).values(updated_at=past, created_at=past))
    return company


def test_what_no_webhook_told_is_looked_up(silent: Any, recorder: Any) -> None:
    assert look_up(silent, recorder) == (1, 3)
    assert silent.message()["state"] == "read"
    assert "ASSUMPTION" in recorder.lines[0]
    assert look_up(silent, recorder) == (0, 0)


def test_a_throttle_is_waited_out(silent: Any, recorder: Any, upstream: Any) -> None:
    upstream.faults(error={"code": 80007, "status": 400})
    with pytest.raises(Throttled):
        look_up(silent, recorder)
    assert silent.message()["state"] == "accepted"


def test_without_the_switch_nobody_is_asked(company: Any, recorder: Any, upstream: Any, store: Any) -> None:
    assert list(companies_to_look_up(store)) == []
    assert look_up(company, recorder) == (0, 0)
    assert upstream.stats()["calls"] == 0


def test_only_companies_that_want_it_are_scheduled(silent: Any, each_store: Any, connected: Any) -> None:
    connected(each_store)
    assert [one.empresa_id for one in companies_to_look_up(each_store)] == [silent.id]

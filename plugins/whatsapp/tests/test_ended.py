"""A message whose job came to its end without saying so: canceled, removed, or failed by the runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from flowzz.app import Flowzz
from flowzz.errors import Permanent
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.engine import Queues
from flowzz.settings import Settings
from flowzz_whatsapp import ended
from flowzz_whatsapp.ended import PATIENCE, CloseEnded, close_ended, companies_to_close
from flowzz_whatsapp.errors import Refused, TransientError
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.plugin import plugin
from flowzz_whatsapp.resending import may_resend
from flowzz_whatsapp.send import UNKNOWN_LIMIT
from support.engine import ended as settlement
from support.engine import step

ANA = "+5511987654321"


@pytest.fixture
def flowzz(each_company: Any, settings: Settings) -> Iterator[Flowzz]:
    """On the company's own database, of each kind."""
    url = settings.resolve_redis_url()
    assert url is not None
    yield Flowzz(settings, PluginHost.of([plugin]), each_company.store, queues := Queues.open(url))
    queues.close()


@contextmanager
def past_patience() -> Iterator[None]:
    with time_machine.travel(datetime.now(UTC) + PATIENCE + timedelta(seconds=1), tick=False):
        yield


def enqueued(flowzz: Flowzz, company: Any) -> str:
    return flowzz.enqueue("whatsapp.send_message", {"empresaId": company.id, "to": ANA, "message": "oi"})


def stumbled(flowzz: Flowzz, company: Any, upstream: Any) -> str:
    """A job whose first run met an upstream that was not able; it waits, and so does its message."""
    job_id = enqueued(flowzz, company)
    upstream.faults(error={"code": 131016, "status": 503, "times": 1})
    with pytest.raises(TransientError):
        company.send(job_id=job_id)
    assert company.message()["state"] == "waiting"
    return job_id


def on_its_way(company: Any) -> None:
    """As a run leaves a message that dies between request and answer."""
    with company.store.session() as session:
        session.execute(update(messages).values(state="sending", message_id=None, problem=None))


def closed(flowzz: Flowzz, company: Any) -> dict[str, int]:
    """What one run came to, as the schedule would have it."""
    payloads = list(companies_to_close(company.store))
    assert [payload.empresa_id for payload in payloads] in ([], [company.id])
    counts: dict[str, int] = {}
    for payload in payloads:
        done = close_ended(replace(company.context("close"), host=flowzz), payload).model_dump()
        counts |= {state: count for state, count in done.items() if count}
    return counts


def test_a_message_of_a_canceled_job_is_dropped(flowzz: Flowzz, each_company: Any, upstream: Any) -> None:
    job_id = stumbled(flowzz, each_company, upstream)
    flowzz.queues.cancel(job_id)
    assert closed(flowzz, each_company) == {}, "its time has not come"
    with past_patience():
        assert closed(flowzz, each_company) == {"dropped": 1}
        assert closed(flowzz, each_company) == {}
    row = each_company.message()
    assert (row["state"], row["problem"]) == ("dropped", "its job was canceled before it was sent")
    assert may_resend(row)
    assert upstream.phones() == {}


def test_one_whose_job_was_removed_is_too(flowzz: Flowzz, each_company: Any, upstream: Any) -> None:
    flowzz.queues.remove(stumbled(flowzz, each_company, upstream))
    with past_patience():
        assert closed(flowzz, each_company) == {"dropped": 1}
    assert each_company.message()["problem"] == "its job was removed before it was sent"


def test_one_whose_job_failed_has_failed(flowzz: Flowzz, each_company: Any, upstream: Any) -> None:
    job_id = stumbled(flowzz, each_company, upstream)
    (claim,) = step(flowzz.queues, served=("whatsapp",)).claims
    step(flowzz.queues, settlement(claim, "failed"), want=0, served=("whatsapp",))
    assert flowzz.queues.job(job_id).state is JobState.FAILED
    with past_patience():
        assert closed(flowzz, each_company) == {"failed": 1}
    row = each_company.message()
    assert row["state"] == "failed"
    assert "131016" in row["problem"], "what Meta told of it stays"


def test_one_that_was_on_its_way_is_unknown(flowzz: Flowzz, each_company: Any) -> None:
    job_id = enqueued(flowzz, each_company)
    each_company.send(job_id=job_id)
    on_its_way(each_company)
    requested_at = each_company.message()["requested_at"]
    flowzz.queues.cancel(job_id)
    with past_patience():
        assert closed(flowzz, each_company) == {"unknown": 1}
    row = each_company.message()
    assert (row["state"], row["unknown_at"]) == ("unknown", requested_at)
    assert row["problem"] == "its job ended before it knew the answer"


def test_one_whose_job_may_still_run_is_left_alone(flowzz: Flowzz, each_company: Any, upstream: Any) -> None:
    stumbled(flowzz, each_company, upstream)
    before = each_company.message()
    with past_patience():
        assert len(list(companies_to_close(each_company.store))) == 1
        assert closed(flowzz, each_company) == {}
    assert each_company.message() == before


def test_one_that_changes_meanwhile_is_left_alone(
    flowzz: Flowzz, each_company: Any, upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has the job run again between the look at it and the writing."""
    job_id = stumbled(flowzz, each_company, upstream)
    flowzz.queues.cancel(job_id)
    look = Queues.states

    def look_slowly(queues: Queues, ids: Any) -> Any:
        found = look(queues, ids)
        flowzz.queues.retry(job_id)
        each_company.send(job_id=job_id)
        return found

    monkeypatch.setattr(Queues, "states", look_slowly)
    with past_patience():
        assert closed(flowzz, each_company) == {}
    assert each_company.message()["state"] == "accepted"


def test_a_canceled_job_that_a_person_has_run_sends_its_message(
    flowzz: Flowzz, each_company: Any, upstream: Any
) -> None:
    job_id = stumbled(flowzz, each_company, upstream)
    flowzz.queues.cancel(job_id)
    with past_patience():
        closed(flowzz, each_company)
    flowzz.queues.retry(job_id)
    assert each_company.send(job_id=job_id).status == "accepted"
    assert len(upstream.phones()[ANA]) == 1
    assert each_company.message()["attempts"] == 2


def test_one_that_may_have_left_is_never_sent_by_its_own_job(flowzz: Flowzz, each_company: Any, upstream: Any) -> None:
    job_id = enqueued(flowzz, each_company)
    each_company.send(job_id=job_id)
    on_its_way(each_company)
    flowzz.queues.cancel(job_id)
    with past_patience():
        closed(flowzz, each_company)
    flowzz.queues.retry(job_id)
    with (
        time_machine.travel(datetime.now(UTC) + UNKNOWN_LIMIT),
        pytest.raises(Permanent, match="nobody knows whether this message was sent"),
    ):
        each_company.send(job_id=job_id)
    assert len(upstream.phones()[ANA]) == 1


def test_many_are_looked_at_in_chunks(
    flowzz: Flowzz, each_company: Any, upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "CHUNK", 2)
    upstream.faults(error={"code": 131016, "status": 503})
    ids = [enqueued(flowzz, each_company) for _ in range(5)]
    for job_id in ids:
        with pytest.raises(TransientError):
            each_company.send(job_id=job_id)
    for job_id in ids[:4]:
        flowzz.queues.cancel(job_id)
    with past_patience():
        assert closed(flowzz, each_company) == {"dropped": 4}
    assert [row["state"] for row in each_company.messages()] == ["dropped"] * 4 + ["waiting"]


def test_companies_with_nothing_open_get_no_job(each_company: Any, connected: Any, upstream: Any) -> None:
    other = connected(each_company.store, upstream.url)
    other.send(job_id="job-2")
    upstream.faults(error={"code": 131026, "status": 400, "times": 1})
    with pytest.raises(Refused):
        each_company.send()
    with past_patience():
        assert list(companies_to_close(each_company.store)) == []
    assert CloseEnded(empresa_id=other.id).empresa_id == other.id

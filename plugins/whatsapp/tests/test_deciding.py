"""A message whose outcome nobody will tell any more ends with a person's word; a status that comes after all wins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from flowzz.clock import now
from flowzz.errors import InvalidRequest, NotFound, Permanent, Snoozed
from flowzz_whatsapp.deciding import Decision, decide, may_decide
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.resending import may_resend, resend
from flowzz_whatsapp.send import UNKNOWN_LIMIT

ANA = "+5511987654321"
BIA = "bia@flowzz.example"


@pytest.fixture(autouse=True)
def _quiet(upstream: Any) -> None:
    upstream.settings(statuses=[])


@pytest.fixture
def unknown(each_company: Any, upstream: Any) -> int:
    """The number of a message that Meta took without an answer that reached us, 15 minutes ago."""
    upstream.faults(reset_after={"times": 1})
    with pytest.raises(Snoozed):
        each_company.send()
    assert not may_decide(each_company.message())
    with each_company.store.session() as session:
        session.execute(update(messages).values(unknown_at=now() - UNKNOWN_LIMIT - timedelta(seconds=1)))
    assert may_decide(each_company.message())
    return int(each_company.message()["id"])


def test_one_that_arrived_counts_as_sent(each_company: Any, unknown: int) -> None:
    decide(each_company.store, unknown, Decision.ARRIVED, BIA)
    row = each_company.message()
    assert (row["state"], row["sent_at"]) == ("sent", row["requested_at"])
    assert row["problem"] == f"{BIA} found it in the recipient's chat"
    assert not may_resend(row)
    assert not may_decide(row)


def test_a_replay_of_its_job_completes_and_sends_nothing(each_company: Any, upstream: Any, unknown: int) -> None:
    decide(each_company.store, unknown, Decision.ARRIVED, BIA)
    again = each_company.send()
    assert (again.message_id, again.status) == (None, "sent")
    assert len(upstream.phones()[ANA]) == 1


def test_one_that_is_dropped_is_sent_by_no_replay(each_company: Any, upstream: Any, unknown: int, queue: Any) -> None:
    decide(each_company.store, unknown, Decision.DROPPED, BIA)
    row = each_company.message()
    assert (row["state"], row["problem"]) == ("dropped", f"nobody knows whether it was sent, and {BIA} dropped it")
    with pytest.raises(Permanent, match=f"{BIA} dropped it; to send it after all: flowzz whatsapp resend {unknown}"):
        each_company.send()
    assert len(upstream.phones()[ANA]) == 1
    assert may_resend(row)
    assert resend(each_company.store, queue, unknown).startswith("whatsapp-resend-")


@pytest.mark.parametrize("decision", Decision)
def test_a_status_that_comes_after_all_knows_better(
    each_company: Any, upstream: Any, unknown: int, decision: Decision
) -> None:
    decide(each_company.store, unknown, decision, BIA)
    (phone,) = upstream.phones()[ANA]
    at = datetime.now(UTC)
    each_company.process(each_company.status(phone["wamid"], "delivered", at, biz_opaque_callback_data="job:job-1"))
    row = each_company.message()
    assert (row["state"], row["message_id"], row["problem"]) == ("delivered", phone["wamid"], None)


def test_nothing_else_is_to_be_decided(each_company: Any, queue: Any, upstream: Any) -> None:
    each_company.send()
    number = each_company.message()["id"]
    for decision in Decision:
        with pytest.raises(InvalidRequest, match="it is accepted; only the outcome of unknown ones is open"):
            decide(each_company.store, number, decision, BIA)
    with pytest.raises(NotFound):
        decide(each_company.store, number + 1, Decision.ARRIVED, BIA)


def test_its_status_is_waited_for_first(each_company: Any, upstream: Any) -> None:
    upstream.faults(reset_after={"times": 1})
    with pytest.raises(Snoozed):
        each_company.send()
    with pytest.raises(InvalidRequest, match="its status may still come"):
        decide(each_company.store, each_company.message()["id"], Decision.DROPPED, BIA)
    assert each_company.message()["state"] == "unknown"


def test_of_two_persons_the_second_is_told(each_company: Any, unknown: int) -> None:
    decide(each_company.store, unknown, Decision.DROPPED, BIA)
    with pytest.raises(InvalidRequest, match="it is dropped"):
        decide(each_company.store, unknown, Decision.ARRIVED, BIA)
    assert each_company.message()["state"] == "dropped"

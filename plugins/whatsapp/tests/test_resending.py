"""A message is sent again only because a person wants it, and then once."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import delete, update

from flowzz.clock import now
from flowzz.errors import InvalidRequest, NotFound, Snoozed
from flowzz_whatsapp.errors import Refused
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.resending import may_resend, resend
from flowzz_whatsapp.send import UNKNOWN_LIMIT

ANA = "+5511987654321"


@pytest.fixture(autouse=True)
def _quiet(upstream: Any) -> None:
    upstream.settings(statuses=[])


def failed(company: Any, upstream: Any, **payload: Any) -> int:
    """The number of a message that Meta refused."""
    upstream.faults(error={"code": 131026, "status": 400, "times": 1})
    with pytest.raises(Refused):
        company.send(**payload)
    return int(company.messages()[-1]["id"])


@pytest.mark.parametrize(
    "payload",
    [
        {"message": "oi"},
        {"message": "", "templateName": "pedido_enviado", "templateParams": {"nome": "Ana", "codigo": "7"}},
        {"message": "x", "templateName": "relatorio_pronto", "templateParams": ["a", "b", "c"], "templateHeader": "h"},
    ],
)
def test_the_same_message_goes_to_the_same_person(
    each_company: Any, upstream: Any, queue: Any, payload: dict[str, Any]
) -> None:
    number = failed(each_company, upstream, **payload)

    job_id = resend(each_company.store, queue, number)

    (job, sent, same_id) = queue.jobs[0]
    assert (job, same_id) == ("whatsapp.send_message", job_id)
    company_id, to = sent.pop("empresaId"), sent.pop("to")
    assert (company_id, to) == (each_company.id, ANA)
    again = each_company.send(to, job_id=job_id, **sent)
    assert len(upstream.phones()[ANA]) == 1
    first, second = each_company.messages()
    assert (first["state"], second["state"], second["resend_of"]) == ("failed", "accepted", number)
    assert second["message_id"] == again.message_id
    for column in ("recipient", "kind", "body", "template_name", "template_language", "template_parts"):
        assert first[column] == second[column]
    with pytest.raises(InvalidRequest, match="it was, as message"):
        resend(each_company.store, queue, number)


def test_asked_twice_it_is_one_job(company: Any, upstream: Any, queue: Any) -> None:
    number = failed(company, upstream)
    assert resend(company.store, queue, number) == resend(company.store, queue, number)
    assert {job_id for _, _, job_id in queue.jobs} == {f"whatsapp-resend-{sha256(b'job:job-1').hexdigest()[:40]}"}


def test_a_number_that_is_given_out_again_is_another_message(each_company: Any, upstream: Any, queue: Any) -> None:
    """SQLite gives the number of a deleted row out again; a resend must not pass for that of the older message."""
    number = failed(each_company, upstream)
    first = resend(each_company.store, queue, number)
    with each_company.store.session() as session:
        session.execute(delete(messages))
    again = failed(each_company, upstream, job_id="job-2")
    assert again == number or each_company.store.engine.dialect.name == "postgresql"
    assert resend(each_company.store, queue, again) != first


def test_what_was_sent_is_not_sent_again(company: Any, queue: Any) -> None:
    company.send()
    with pytest.raises(InvalidRequest, match="it is accepted; only failed and dropped messages"):
        resend(company.store, queue, company.message()["id"])
    assert not may_resend(company.message())
    assert queue.jobs == []


def test_an_unknown_outcome_is_waited_for_first(company: Any, upstream: Any, queue: Any) -> None:
    upstream.faults(reset_after=True)
    with pytest.raises(Snoozed):
        company.send()
    number = company.message()["id"]
    with pytest.raises(InvalidRequest, match="its status may still come"):
        resend(company.store, queue, number)
    with company.store.session() as session:
        session.execute(update(messages).values(unknown_at=now() - UNKNOWN_LIMIT - timedelta(seconds=1)))
    assert may_resend(company.message())
    assert resend(company.store, queue, number).startswith("whatsapp-resend-")


@pytest.mark.parametrize("number", [0, -1, 99, 10**30])
def test_a_number_that_is_none_is_not_found(company: Any, queue: Any, number: int) -> None:
    with pytest.raises(NotFound):
        resend(company.store, queue, number)

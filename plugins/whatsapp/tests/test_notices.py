"""A user is told by a template that a report is ready: once, at the user's own phone, where the company wants it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from flowzz.errors import InvalidRequest
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.notifications import Notification
from flowzz.store import Role
from flowzz_whatsapp.notices import job_id_of, notify
from flowzz_whatsapp.phones import phone_of, phones, remove_phone, set_phone

BIA = "+5521987654321"


def notification(company: Any, user_id: str | None, **more: Any) -> Notification:
    given = {
        "kind": "report.ready",
        "company_id": company.id,
        "user_id": user_id,
        "title": "Relatório de vendas",
        "text": "1.234 pedidos\nem março",
        "link": "https://flowzz.example/files/1",
        "key": "report-1",
    }
    return Notification(**{**given, **more})


@pytest.fixture
def user(each_company: Any) -> Any:
    return each_company.store.add_user("bia@flowzz.example", SecretStr("correct horse battery"), Role.ADMIN)


def test_the_template_goes_to_the_users_phone(each_company: Any, user: Any, queue: Any, upstream: Any) -> None:
    set_phone(each_company.store, user.id, "+55 (21) 98765-4321")

    assert notify(notification(each_company, user.id), each_company.store, queue)

    ((job, payload, job_id),) = queue.jobs
    assert (job, job_id) == ("whatsapp.send_message", job_id_of("report-1"))
    sent = {name: value for name, value in payload.items() if name not in ("empresaId", "to")}
    upstream.settings(statuses=[])
    each_company.send(payload["to"], job_id=job_id, **sent)
    (received,) = upstream.phones()[BIA]
    texts = [one["text"] for one in received["template"]["components"][0]["parameters"]]
    assert texts == ["Relatório de vendas", "1.234 pedidos em março", "https://flowzz.example/files/1"]


def test_the_same_notification_again_is_the_same_job(each_company: Any, user: Any, queue: Any) -> None:
    set_phone(each_company.store, user.id, BIA)
    for _ in range(2):
        assert notify(notification(each_company, user.id, link=None, text=""), each_company.store, queue)
    assert queue.jobs[0] == queue.jobs[1]
    assert queue.jobs[0][1]["templateParams"][1:] == ["–", "–"]
    assert job_id_of("report-1") != job_id_of("report-2")


def test_what_is_none_of_its_business_is_left(each_company: Any, user: Any, queue: Any, connected: Any) -> None:
    store = each_company.store
    assert not notify(notification(each_company, user.id), store, queue)
    set_phone(store, user.id, BIA)
    silent = connected(store, report_template="")
    for other in (
        notification(each_company, user.id, kind="sync.failed"),
        notification(each_company, None),
        notification(each_company, user.id, company_id=None),
        notification(each_company, user.id, company_id="nobody"),
        notification(silent, user.id),
    ):
        assert not notify(other, store, queue)
    store.set_connection_state(each_company.connection.id, ConnectionState.PAUSED, "holidays")
    assert not notify(notification(each_company, user.id), store, queue)
    assert queue.jobs == []


def test_phones_are_checked_replaced_and_removed(each_company: Any, user: Any) -> None:
    store = each_company.store
    for wrong in ("21987654321", "BR.1A2b"):
        with pytest.raises(InvalidRequest, match="phone: expected a phone number"):
            set_phone(store, user.id, wrong)
    set_phone(store, user.id, BIA)
    assert set_phone(store, user.id, "+55 11 98765-4321") == "+5511987654321"
    assert phones(store) == {user.id: "+5511987654321"}
    assert remove_phone(store, user.id)
    assert not remove_phone(store, user.id)
    assert phone_of(store, user.id) is None

"""Webhooks in: signed, stored raw, processed by a job, and right in whatever order they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from flowzz.clock import now
from flowzz.errors import Permanent, Snoozed
from flowzz.plugins.contributions import WebhookRequest
from flowzz_whatsapp.models import events
from flowzz_whatsapp.payloads import SendMessage
from flowzz_whatsapp.send import send_message
from flowzz_whatsapp.webhooks import (
    MAX_BYTES,
    ProcessWebhook,
    RecoverWebhooks,
    challenge,
    companies_to_recover,
    process_webhook,
    recover_webhooks,
)
from support.waiting import eventually

ANA = "+5511987654321"
SENDER = "500000000000001"
MARCH = 1_772_370_000


@pytest.fixture(autouse=True)
def _quiet(upstream: Any) -> None:
    """Statuses come when the test says so."""
    upstream.settings(statuses=[])


def status(message_id: str, word: str, *, second: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": message_id, "status": word, "timestamp": str(MARCH + second), "recipient_id": "5511987654321", **more}


def failure(code: int) -> dict[str, Any]:
    return {"errors": [{"code": code, "title": "…", "error_data": {"details": "told by Meta"}}]}


def body(*statuses: dict[str, Any], sender: str = SENDER, messages: Any = (), **value: Any) -> bytes:
    told = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": sender}, **value}
    told |= {"statuses": list(statuses)} if statuses else {}
    told |= {"messages": list(messages)} if messages else {}
    return envelope([{"field": "messages", "value": told}])


def envelope(*entries: list[dict[str, Any]]) -> bytes:
    listed = [{"id": "400000000000001", "changes": changes} for changes in entries]
    return json.dumps({"object": "whatsapp_business_account", "entry": listed}).encode()


def test_a_message_goes_from_accepted_to_read(each_company: Any) -> None:
    wamid = each_company.send().message_id
    for second, word in enumerate(["sent", "delivered", "read"]):
        done = each_company.process(body(status(wamid, word, second=second)))
        assert (done.statuses, done.attached, done.problem) == (1, 1, None)
        assert each_company.message()["state"] == word
    row = each_company.message()
    assert [row[f"{word}_at"].timestamp() - MARCH for word in ("sent", "delivered", "read")] == [0, 1, 2]


def test_read_before_delivered_stays_read(each_company: Any) -> None:
    wamid = each_company.send().message_id
    for second, word in ((2, "read"), (1, "delivered"), (0, "sent")):
        each_company.process(body(status(wamid, word, second=second)))
        assert each_company.message()["state"] == "read"
    assert each_company.message()["delivered_at"].timestamp() == MARCH + 1


def test_the_same_status_again_changes_nothing(each_company: Any) -> None:
    wamid = each_company.send().message_id
    told = body(status(wamid, "delivered"))
    assert [each_company.process(told).attached for _ in range(3)] == [1, 0, 0]
    assert len(each_company.statuses()) == 1
    assert len(each_company.events()) == 3


def test_a_member_of_a_group_has_a_status_of_its_own(company: Any) -> None:
    wamid = company.send().message_id
    company.process(
        body(*(status(wamid, "read", recipient_participant_id=one) for one in ("551199", "551188", "551199")))
    )
    assert len(company.statuses()) == 2


def test_a_failure_is_explained(each_company: Any) -> None:
    wamid = each_company.send().message_id
    each_company.process(body(status(wamid, "failed", **failure(131047))))
    row = each_company.message()
    assert (row["state"], row["error_code"]) == ("failed", 131047)
    assert "use a template" in row["problem"] or "approved template" in row["problem"]
    assert "told by Meta" in row["problem"]


@pytest.mark.parametrize("order", [("failed", "delivered"), ("delivered", "failed")])
def test_delivered_after_failed_wins(company: Any, order: tuple[str, str]) -> None:
    wamid = company.send().message_id
    for second, word in enumerate(order):
        more = failure(131026) if word == "failed" else {}
        company.process(body(status(wamid, word, second=second, **more)))
    row = company.message()
    assert (row["state"], row["error_code"], row["problem"]) == ("delivered", None, None)


def test_a_status_may_come_before_the_answer(each_company: Any, upstream: Any, posting: Any) -> None:
    """Also without its echo: the status waits, and the send finds it by the wamid."""
    upstream.settings(statuses=["sent", "delivered"])
    for place, fault in enumerate(({"status_before_answer": True}, {"status_before_answer": True, "no_echo": True})):
        with posting(each_company) as url:
            upstream.settings(webhook_url=url)
            upstream.faults(**fault)
            sent = each_company.send(to=f"+551198765000{place}", job_id=f"early-{place}")
        assert sent.status == "delivered"
        assert each_company.messages()[place]["state"] == "delivered"
        assert each_company.messages()[place]["accepted_at"] is not None


def test_a_status_may_come_while_the_answer_is_being_written(postgres_company: Any, upstream: Any) -> None:
    """Neither transaction sees the other, so only a look after the commit finds the status."""
    engine = postgres_company.store.engine
    told: list[int] = []

    def before_commit(_connection: Any) -> None:
        if not told and (taken := upstream.phones().get(ANA)):
            told.append(0)  # the webhook commits too
            told.append(postgres_company.process(body(status(taken[0]["wamid"], "delivered"))).attached)

    event.listen(engine, "commit", before_commit)
    sent = postgres_company.send()
    event.remove(engine, "commit", before_commit)
    assert told == [0, 0]  # it came, and found no message that it could be of
    assert sent.status == "delivered"
    assert postgres_company.message()["state"] == "delivered"


def test_an_unknown_outcome_is_reconciled_by_its_status(each_company: Any, upstream: Any) -> None:
    upstream.faults(reset_after=True)
    with pytest.raises(Snoozed):
        each_company.send()
    wamid = upstream.phones()[ANA][0]["wamid"]

    done = each_company.process(body(status(wamid, "sent", biz_opaque_callback_data="job:job-1")))

    assert done.attached == 1
    assert each_company.send().message_id == wamid
    row = each_company.message()
    assert (row["state"], row["message_id"], row["wa_id"]) == ("sent", wamid, "5511987654321")
    assert len(upstream.phones()[ANA]) == 1


def test_an_unknown_outcome_may_turn_out_to_be_a_failure(company: Any, upstream: Any) -> None:
    upstream.faults(reset_after=True)
    with pytest.raises(Snoozed):
        company.send()
    told = status("wamid.X", "failed", biz_opaque_callback_data="job:job-1", **failure(131026))
    company.process(body(told))
    with pytest.raises(Permanent, match="131026"):
        company.send()
    assert len(upstream.phones()[ANA]) == 1


def test_a_message_that_went_out_twice_says_so(company: Any) -> None:
    wamid = company.send().message_id
    company.process(body(status(wamid, "sent", biz_opaque_callback_data="job:job-1")))
    company.process(body(status("wamid.TWIN", "sent", second=1, biz_opaque_callback_data="job:job-1")))
    row = company.message()
    assert row["message_id"] == wamid
    assert "2 times" in row["problem"]
    assert "wamid.TWIN" in row["problem"]


def test_a_status_of_a_message_that_is_not_ours_waits(company: Any) -> None:
    done = company.process(body(status("wamid.NOBODYS", "sent")))
    assert (done.statuses, done.attached, done.problem) == (1, 0, None)
    (row,) = company.statuses()
    assert row["message_row"] is None


def test_a_batch_is_processed_whole(each_company: Any) -> None:
    sent = [each_company.send(to=f"+55119876500{place:02d}", job_id=f"job-{place}").message_id for place in range(20)]
    told = [status(wamid, word, second=s) for wamid in sent for s, word in enumerate(("sent", "delivered", "read"))]
    done = each_company.process(body(*told))
    assert (done.statuses, done.attached) == (60, 60)
    assert {row["state"] for row in each_company.messages()} == {"read"}


def test_several_tenants_in_one_post(each_store: Any, upstream: Any, connected: Callable[..., Any]) -> None:
    first = connected(each_store, upstream.url)
    second = connected(each_store, upstream.url, phone_number_id="500000000000002")
    stranger = connected(each_store, upstream.url, phone_number_id="500000000000003", app_secret="of another app")
    sent = [one.send(job_id=f"of-{one.id}").message_id for one in (first, second)]
    theirs = "wamid.STRANGERS"
    told = [
        {"field": "messages", "value": {"metadata": {"phone_number_id": sender}, "statuses": [status(wamid, "read")]}}
        for sender, wamid in (
            (SENDER, sent[0]),
            ("500000000000002", sent[1]),
            ("500000000000003", theirs),
            ("599999999999999", "wamid.UNKNOWN"),
        )
    ]

    done = first.process(envelope(told[:2], told[2:]))

    assert (done.statuses, done.attached) == (4, 2)
    assert [one.message()["state"] for one in (first, second)] == ["read", "read"]
    assert stranger.statuses() == []
    assert "500000000000003; no connection of this app has the phone number id 599999999999999" in done.problem


def test_incoming_messages_open_the_window(each_company: Any) -> None:
    people = [{"profile": {"name": "Ana"}, "wa_id": "556287654321", "user_id": "BR.ANA"}]
    told = {"from": "556287654321", "id": "wamid.IN", "timestamp": str(int(now().timestamp())), "type": "text"}
    done = each_company.process(body(messages=[told], contacts=people))
    assert (done.incoming, done.problem) == (1, None)
    assert {row["contact_key"] for row in each_company.contacts()} == {"556287654321", "BR.ANA"}
    assert {row["name"] for row in each_company.contacts()} == {"Ana"}
    older = {**told, "timestamp": str(MARCH), "type": "button"}
    each_company.process(body(messages=[older], contacts=people))
    assert all(row["last_incoming_at"].timestamp() > MARCH for row in each_company.contacts())


def test_the_short_form_of_a_number_opens_the_window_of_the_long_one(store: Any, upstream: Any, connected: Any) -> None:
    strict = connected(store, upstream.url, enforce_window=True)
    told = {"from": "556287654321", "id": "wamid.IN", "timestamp": str(int(now().timestamp())), "type": "text"}
    strict.process(body(messages=[told]))
    assert strict.send(to="+5562987654321").status == "accepted"


def test_a_user_without_a_phone_opens_the_window_by_the_user_id(store: Any, upstream: Any, connected: Any) -> None:
    strict = connected(store, upstream.url, enforce_window=True)
    told = {"from_user_id": "BR.ANA", "id": "wamid.IN", "timestamp": str(int(now().timestamp())), "type": "text"}
    strict.process(body(messages=[told]))
    assert strict.send(to="BR.ANA").status == "accepted"


def test_other_kinds_of_changes_are_kept_and_change_nothing(company: Any, upstream: Any, posting: Any) -> None:
    with posting(company) as url:
        answers = upstream.control("templates/pedido_enviado/status", {"status": "PAUSED", "url": url})["answers"]
    assert [answer["status"] for answer in answers] == [200]
    (event,) = company.events()
    assert b"message_template_status_update" in event["body"]


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"{", "no JSON"),
        (b"[]", "expected a JSON object"),
        (b'{"entry": 7}', None),
        (body(status("wamid.X", "sent", timestamp="soon")), "a status without id, status or timestamp"),
        (body(value_is="strange"), None),
        (envelope([{"field": "messages", "value": {"statuses": [{}]}}]), "names no phone_number_id"),
        (body(errors=[{"code": 131000, "title": "Something went wrong"}]), "Meta reports: Meta stumbled"),
        (body(messages=[{"id": "wamid.IN", "type": "text"}]), "a message without sender or timestamp"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_problem(company: Any, sent: bytes, problem: str | None) -> None:
    done = company.process(sent)
    assert done.problem == problem or (problem is not None and problem in done.problem)
    (event,) = company.events()
    assert event["body"] == sent
    assert event["processed_at"] is not None


def test_the_signature_is_looked_at_first(company: Any, queue: Any) -> None:
    told = body(status("wamid.X", "sent"))
    assert company.receive(told, queue, signature=None).status == 401
    assert company.receive(told, queue, signature="sha256=" + "0" * 64).status == 403
    assert company.receive(told, queue, signature="\udcff").status == 403
    assert (company.events(), queue.jobs) == ([], [])
    reply = company.receive(told, queue)
    assert (reply.status, reply.body["jobId"]) == (200, f"whatsapp-event-{reply.body['eventId']}")
    assert [job for job, _, _ in queue.jobs] == ["whatsapp.process_webhook"]


def test_the_signature_is_over_the_raw_bytes(company: Any) -> None:
    """A body that is serialised anew, with ç for \\u00e7, has another signature."""
    escaped = json.dumps({"entry": [], "note": "ç"}).encode()
    plain = json.dumps({"entry": [], "note": "ç"}, ensure_ascii=False).encode()
    right = company.settings.signature(escaped)
    assert company.receive(escaped, signature=right).status == 200
    assert company.receive(plain, signature=right).status == 403


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ({"hub.mode": "subscribe", "hub.verify_token": "sandbox-verify-token", "hub.challenge": "115"}, 200, "115"),
        ({"hub.mode": "subscribe", "hub.verify_token": "wrong", "hub.challenge": "115"}, 403, None),
        ({"hub.mode": "other", "hub.verify_token": "sandbox-verify-token", "hub.challenge": "115"}, 403, None),
        ({}, 403, None),
    ],
)
def test_the_challenge(company: Any, query: dict[str, str], status: int, text: str | None) -> None:
    reply = challenge(WebhookRequest(body=b"", headers={}, query=query, remote_addr=None), company.connection)
    assert (reply.status, reply.text) == (status, text)


def test_a_webhook_is_kept_while_redis_is_away(each_company: Any, queue: Any) -> None:
    wamid = each_company.send().message_id
    queue.away = True
    reply = each_company.receive(body(status(wamid, "read")), queue)
    assert (reply.status, reply.body["jobId"]) == (200, None)
    assert list(companies_to_recover(each_company.store)) == []
    with each_company.store.session() as session:
        session.execute(update(events).values(arrived_at=now() - timedelta(minutes=2)))

    assert list(companies_to_recover(each_company.store)) == [RecoverWebhooks(empresa_id=each_company.id)]
    done = recover_webhooks(each_company.context("recover"), RecoverWebhooks(empresa_id=each_company.id))

    assert (done.processed, done.problems) == (1, 0)
    assert each_company.message()["state"] == "read"
    assert list(companies_to_recover(each_company.store)) == []


def test_an_event_of_another_company_is_not_processed(store: Any, connected: Any, queue: Any) -> None:
    one, other = connected(store), connected(store)
    event = str(one.receive(body(), queue).body["eventId"])
    with pytest.raises(Permanent, match="has no WhatsApp event"):
        process_webhook(other.context(), ProcessWebhook(empresa_id=other.id, event_id=event))


def test_three_megabytes_fit(company: Any, upstream: Any, posting: Any) -> None:
    wamid = company.send().message_id
    how = {"padding": 3 * 1024 * 1024 - 4096, "unknown_field": True}
    with posting(company) as url:
        told = {"items": [{"message": wamid, "status": "read"}], "delivery": how, "url": url}
        answers = upstream.control("statuses", told)["answers"]
    assert [answer["status"] for answer in answers] == [200]
    assert how["padding"] < answers[0]["bytes"] < MAX_BYTES
    assert company.message()["state"] == "read"


def test_two_at_once_never_miss_each_other(each_company: Any, upstream: Any, posting: Any) -> None:
    """A status without its echo is processed while the send of its message settles."""
    upstream.faults(no_echo=True)
    with posting(each_company) as url:
        upstream.settings(statuses=["sent"], webhook_url=url)
        threads = [
            threading.Thread(target=each_company.send, kwargs={"to": f"+55119876500{n:02d}", "job_id": f"job-{n}"})
            for n in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: len(each_company.statuses()) == 12)
        eventually(lambda: all(event["processed_at"] for event in each_company.events()))
    assert {row["state"] for row in each_company.messages()} == {"sent"}


def test_payloads_of_two_spellings_are_one_pair() -> None:
    long, short = (SendMessage(empresa_id="a", to=to, message="oi") for to in ("+5562987654321", "+556287654321"))
    other = SendMessage(empresa_id="b", to="+5562987654321", message="oi")
    assert long.pair == short.pair != other.pair
    assert send_message.limits[1].by == "pair"


def ended(company: Any, upstream: Any, posting: Any, **fault: Any) -> dict[str, Any]:
    """The message of one send under these faults, once nothing more is to come."""
    template = {"templateName": "pedido_enviado", "templateParams": {"nome": "Ana", "codigo": "BR1"}}
    with posting(company) as url:
        upstream.settings(statuses=["sent", "delivered", "read"], webhook_url=url)
        upstream.faults(**fault)
        company.send(message="", **template)
        row: dict[str, Any] = eventually(
            lambda: company.message() if company.message()["state"] in ("read", "failed") else None
        )
    return row


@pytest.mark.parametrize(("fault", "state", "code"), [("held", "read", None), ("held_then_failed", "failed", 132015)])
def test_held_messages_move_on_or_fail(
    company: Any, upstream: Any, posting: Any, fault: str, state: str, code: int | None
) -> None:
    row = ended(company, upstream, posting, **{fault: True})
    assert (row["state"], row["error_code"]) == (state, code)


def test_delivered_may_be_left_out(company: Any, upstream: Any, posting: Any) -> None:
    row = ended(company, upstream, posting, skip_delivered=True)
    assert (row["state"], row["delivered_at"]) == ("read", None)


def test_a_window_that_closes_later_fails_later(company: Any, upstream: Any, posting: Any) -> None:
    with posting(company) as url:
        upstream.settings(window="async", webhook_url=url)
        assert company.send().status == "accepted"
        eventually(lambda: company.message()["state"] == "failed")
    assert "approved template" in company.message()["problem"]


def test_a_message_whose_statuses_never_come_stays_accepted(company: Any, upstream: Any, posting: Any) -> None:
    with posting(company) as url:
        upstream.settings(statuses=["sent"], webhook_url=url)
        upstream.faults(no_statuses={"times": 1})
        company.send(job_id="silent")
        company.send(to="+5521987654321", job_id="told")
        eventually(lambda: company.messages()[1]["state"] == "sent")
    assert company.messages()[0]["state"] == "accepted"

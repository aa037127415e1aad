"""Webhooks in: nothing that Coinzz got a 2xx for is lost, whatever came and in whatever order."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import update

from flowzz.errors import Permanent
from flowzz_coinzz.models import affiliations, events, subscriptions
from flowzz_coinzz.sandbox.faults import coinzz_faults
from flowzz_coinzz.sandbox.lives import LIVES
from flowzz_coinzz.sandbox.payloads import affiliation_document, bent, subscription_document
from flowzz_coinzz.sandbox.state import SandboxState
from flowzz_coinzz.webhooks import (
    BATCH,
    ProcessWebhook,
    RecoverWebhooks,
    companies_to_recover,
    job_id_of,
    process_webhook,
    recover_webhooks,
)


def life(name: str) -> list[Any]:
    """The webhooks of one order's life, in the order things happened."""
    state = SandboxState()
    return state.advance(state.seed(1)[0], name, 10)


def post(company: Any, document: Any, queue: Any = None) -> str:
    reply = company.receive(json.dumps(document).encode(), queue)
    assert reply.status == 200
    return str(reply.body["eventId"])


def process(company: Any, event_id: str) -> Any:
    return process_webhook(company.context(), ProcessWebhook(empresa_id=company.id, event_id=event_id))


def take(company: Any, document: Any) -> Any:
    return process(company, post(company, document))


def state(company: Any) -> tuple[str, str]:
    (order,) = company.orders().values()
    return order["order_status"], order["shipping_status"]


def age_events(company: Any) -> None:
    """As if every pending event had arrived an hour ago."""
    with company.store.session() as session:
        for event in company.events():
            earlier = event["arrived_at"] - timedelta(hours=1)
            session.execute(update(events).where(events.c.id == event["id"]).values(arrived_at=earlier))


def test_the_body_is_kept_before_anything_else(offline: Any, queue: Any) -> None:
    body = json.dumps(life("delivered")[0]).encode()

    reply = offline.receive(body, queue)

    (event,) = offline.events()
    assert event["body"] == body
    assert (event["source"], event["kind"], event["order_number"]) == ("webhook", "order", "ord000001")
    assert event["processed_at"] is None
    assert reply.body == {"received": True, "eventId": event["event_id"], "jobId": job_id_of(event["event_id"])}
    ((name, payload, job_id),) = queue.jobs
    assert name == "coinzz.process_webhook"
    assert payload.model_dump() == {"empresaId": offline.id, "eventId": event["event_id"]}
    assert job_id == reply.body["jobId"]


def test_five_at_once_are_one_order_and_five_events(each_offline: Any) -> None:
    document = life("delivered")[0]
    ids = [post(each_offline, document) for _ in range(5)]
    gate = threading.Barrier(5)

    def run(event_id: str) -> str:
        gate.wait()
        return str(process(each_offline, event_id).effect)

    with ThreadPoolExecutor(5) as pool:
        effects = Counter(pool.map(run, ids))

    assert effects == {"created": 1, "repeated": 4}
    assert len(each_offline.orders()) == 1
    assert len(each_offline.events()) == 5
    assert all(event["processed_at"] for event in each_offline.events())


@pytest.mark.parametrize("name", sorted(LIVES))
def test_any_order_of_arrival_ends_in_the_right_state(offline: Any, connected: Any, name: str) -> None:
    """Every permutation that a delayed first sighting makes; setbacks that were left again arrive in turn."""
    happened = life(name)
    right = LIVES[name][-1]
    for arrived in permutations(happened):
        if name == "rescheduled" and arrived.index(happened[2]) > arrived.index(happened[3]):
            continue  # a re-schedule after the delivery is applied and flagged, by design
        company = connected(offline.store)
        for document in arrived:
            take(company, document)
        assert state(company) == right, [document["order"]["shipping_status"] for document in arrived]
        assert len(company.events()) == len(happened)


def test_received_before_shipped_is_recorded_flagged_and_not_applied(each_offline: Any) -> None:
    created, shipped, received = life("delivered")
    take(each_offline, created)
    take(each_offline, received)

    late = take(each_offline, shipped)

    assert (late.effect, late.suspicious) == ("late", True)
    assert state(each_offline) == ("Aprovado", "Recebido")
    order = each_offline.orders()["ord000001"]
    assert order["suspicious"] is True
    assert [event["suspicious"] for event in each_offline.events()] == [False, False, True]


def test_a_stale_copy_does_not_roll_back(each_offline: Any) -> None:
    created, shipped, received = life("delivered")
    for document in (created, shipped, received):
        take(each_offline, document)

    again = take(each_offline, created)

    assert (again.effect, again.suspicious) == ("stale", False)
    assert state(each_offline) == ("Aprovado", "Recebido")


def test_a_chargeback_goes_backward_and_is_applied(offline: Any) -> None:
    for document in life("chargeback"):
        last = take(offline, document)
    assert (last.effect, state(offline)) == ("applied", ("Chargeback", "Recebido"))
    assert offline.orders()["ord000001"]["order_group"] == "dispute"


def test_pending_events_of_one_order_are_processed_in_the_order_they_arrived(offline: Any) -> None:
    cancelled = life("cancelled")
    chargeback = {**cancelled[1], "order": {**cancelled[1]["order"], "order_status": "Chargeback"}}
    ids = [post(offline, document) for document in (*cancelled, chargeback)]

    last = process(offline, ids[2])

    assert last.effect == "applied"
    assert state(offline)[0] == "Chargeback"
    assert [event["effect"] for event in offline.events()] == ["created", "applied", "applied"]
    assert process(offline, ids[0]).effect == "created"


def test_processing_again_changes_nothing(offline: Any) -> None:
    event_id = post(offline, life("delivered")[0])
    first = process(offline, event_id)
    before = offline.orders()

    assert process(offline, event_id) == first
    assert offline.orders() == before


def test_what_a_webhook_leaves_out_is_not_forgotten(offline: Any) -> None:
    created, shipped, _ = life("delivered")
    take(offline, created)
    faults = coinzz_faults()
    faults.switch({"missing_utms": True, "null_email": True})
    take(offline, bent(shipped, faults))

    order = offline.orders()["ord000001"]
    assert order["shipping_status"] == "Enviado"
    assert (order["utm_source"], order["client_email"]) == ("facebook", "cliente00001@example.com")


def test_a_late_event_still_fills_what_is_empty(offline: Any) -> None:
    _, shipped, received = life("delivered")
    faults = coinzz_faults()
    faults.switch({"missing_utms": True})
    take(offline, bent(received, faults))
    take(offline, shipped)

    order = offline.orders()["ord000001"]
    assert (order["shipping_status"], order["utm_source"]) == ("Recebido", "facebook")


@pytest.mark.parametrize("shape", ["dotted_keys", "text_values", "missing_utms", "null_email", "feminine_label"])
def test_drifted_shapes_are_the_same_order(offline: Any, shape: str) -> None:
    faults = coinzz_faults()
    faults.switch({shape: True})
    received = life("delivered")[2]
    take(offline, received)

    again = take(offline, bent(received, faults))

    assert again.effect == "repeated"
    assert len(offline.orders()) == 1
    assert offline.orders()["ord000001"]["order_group"] == "paid"


def test_unknown_labels_are_kept_and_taken(offline: Any) -> None:
    faults = coinzz_faults()
    faults.switch({"unknown_label": True})
    taken = take(offline, bent(life("delivered")[0], faults))

    order = offline.orders()["ord000001"]
    assert taken.effect == "created"
    assert (order["order_status"], order["order_group"]) == ("Situação Nova", "unknown")
    assert (order["shipping_status"], order["shipping_group"]) == ("Teletransportado", "unknown")


def test_a_deleted_order_is_marked_and_stays(offline: Any) -> None:
    created = life("delivered")[0]
    take(offline, created)
    faults = coinzz_faults()
    faults.switch({"deleted": True})
    take(offline, bent(created, faults))

    assert offline.orders()["ord000001"]["deleted_at"] is not None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"not json", "not JSON"),
        (b'{"order": {"order_number": "ord1"', "not JSON"),
        (b"{}", "by its shape"),
        (b"[1, 2]", "by its shape"),
        (b"\x00\xff\xfe", "not JSON"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_problem(offline: Any, queue: Any, body: bytes, problem: str) -> None:
    reply = offline.receive(body, queue)

    assert reply.status == 200
    assert queue.jobs == []
    (event,) = offline.events()
    assert event["body"] == body
    assert problem in event["problem"]
    assert event["processed_at"] is not None


def test_an_order_without_a_number_is_kept_with_its_problem(offline: Any) -> None:
    taken = take(offline, {"order": {"order_status": "Aprovado"}})

    assert "order_number: missing" in taken.problem
    assert offline.orders() == {}
    assert offline.events()[0]["processed_at"] is not None


def test_with_the_queue_away_the_webhook_is_taken_and_recovered(each_offline: Any, queue: Any) -> None:
    queue.away = True
    reply = each_offline.receive(json.dumps(life("delivered")[0]).encode(), queue)
    assert (reply.status, reply.body["jobId"]) == (200, None)
    assert list(companies_to_recover(each_offline.store)) == []

    age_events(each_offline)
    (payload,) = companies_to_recover(each_offline.store)
    assert payload == RecoverWebhooks(empresa_id=each_offline.id)
    recovered = recover_webhooks(each_offline.context(), payload)

    assert recovered.model_dump() == {"processed": 1, "problems": 0}
    assert len(each_offline.orders()) == 1
    assert list(companies_to_recover(each_offline.store)) == []


def test_a_sync_reconciles_what_is_pending(store: Any, upstream: Any, connected: Any) -> None:
    company = connected(store, upstream.url, pull_enabled=False)
    for document in life("delivered"):
        post(company, document)
    age_events(company)

    assert company.sync().model_dump() == {"synced": 3, "errors": 0}
    assert state(company) == ("Aprovado", "Recebido")


def test_a_backlog_is_recovered_in_batches(each_offline: Any) -> None:
    sandbox = SandboxState()
    numbers = sandbox.seed(BATCH + 30)
    for number in numbers:
        post(each_offline, sandbox.advance(number, "delivered", 1)[0])
    age_events(each_offline)

    recovered = recover_webhooks(each_offline.context(), RecoverWebhooks(empresa_id=each_offline.id))

    assert recovered.processed == BATCH + 30
    assert sorted(each_offline.orders()) == sorted(numbers)


def test_recovery_and_jobs_at_the_same_time_do_not_collide(each_offline: Any) -> None:
    sandbox = SandboxState()
    ids = [
        post(each_offline, document)
        for number in sandbox.seed(12)
        for document in sandbox.advance(number, "delivered", 3)
    ]
    age_events(each_offline)

    def recover(_: int) -> Any:
        return recover_webhooks(each_offline.context(), RecoverWebhooks(empresa_id=each_offline.id))

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(recover, 0), *(pool.submit(process, each_offline, each) for each in reversed(ids))]
        waiting.append(pool.submit(recover, 1))
        for future in waiting:
            future.result(timeout=60)

    assert {order["shipping_status"] for order in each_offline.orders().values()} == {"Recebido"}
    assert len(each_offline.events()) == 36
    assert all(event["effect"] for event in each_offline.events())


def test_affiliations_keep_the_latest(each_offline: Any) -> None:
    first = affiliation_document()
    take(each_offline, first)
    taken = take(each_offline, {**first, "affiliate_request": "Aprovado"})

    (row,) = each_offline.rows(affiliations)
    assert taken.effect == "applied"
    assert (row["affiliate_email"], row["request_status"]) == ("afiliado@example.com", "Aprovado")
    assert row["requested_at"].isoformat() == "2026-03-02T17:05:09+00:00"


def test_subscriptions_keep_the_one_sent_last(each_offline: Any) -> None:
    first = subscription_document(SandboxState().add({}))
    later = {
        **first,
        "subscription": {**first["subscription"], "status": "cancelada"},
        "general_info": {"date_sent": "2026-04-01 00:00:00", "name_sent": "Cancelada"},
    }
    take(each_offline, later)
    take(each_offline, first)

    (row,) = each_offline.rows(subscriptions)
    assert (row["status"], row["cycle"], row["order_number"]) == ("cancelada", "1", "ord000001")
    assert each_offline.orders() == {}
    assert len(each_offline.events()) == 2


def test_companies_do_not_share_orders(offline: Any, connected: Any) -> None:
    other = connected(offline.store)
    document = life("delivered")[0]
    take(offline, document)
    event_id = post(other, document)
    with pytest.raises(Permanent, match="no Coinzz event"):
        process(offline, event_id)
    process(other, event_id)

    assert len(offline.orders()) == len(other.orders()) == 1


def test_a_company_takes_its_orders_with_it(each_offline: Any) -> None:
    take(each_offline, life("delivered")[0])

    each_offline.store.remove_company(each_offline.id)

    assert each_offline.orders() == {}
    assert each_offline.events() == []

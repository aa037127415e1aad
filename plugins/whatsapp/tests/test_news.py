"""What Meta tells of templates, numbers and the account is kept once, for whom it concerns, and shown to people."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from flowzz_whatsapp.models import account_news
from flowzz_whatsapp.retention import DeleteOld, delete_old

WABA = "400000000000001"
MARCH = 1_772_370_000


def change(field: str, at: Any = MARCH, waba: str = WABA, **value: Any) -> bytes:
    entry = {"id": waba, "time": at, "changes": [{"field": field, "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def news(company: Any) -> list[dict[str, Any]]:
    return list(company.rows(account_news))


PAUSED = {
    "event": "PAUSED",
    "message_template_id": 7,
    "message_template_name": "pedido_enviado",
    "message_template_language": "pt_BR",
    "reason": "NONE",
}


def test_a_paused_template_is_news(each_company: Any, upstream: Any, posting: Any) -> None:
    with posting(each_company) as url:
        upstream.control("templates/pedido_enviado/status", {"status": "PAUSED", "url": url})
    (row,) = news(each_company)
    assert (row["field"], row["waba_id"]) == ("message_template_status_update", WABA)
    assert (row["subject"], row["told"], row["reason"]) == ("pedido_enviado (pt_BR)", "PAUSED", None)
    assert each_company.events()[0]["problem"] is None


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        (
            "message_template_status_update",
            {**PAUSED, "reason": "SPAM"},
            ("pedido_enviado (pt_BR)", "PAUSED", None, "SPAM"),
        ),
        (
            "message_template_quality_update",
            {"message_template_name": "a", "previous_quality_score": "GREEN", "new_quality_score": "RED"},
            ("a", "RED", "GREEN", None),
        ),
        (
            "template_category_update",
            {"message_template_name": "a", "previous_category": "UTILITY", "new_category": "MARKETING"},
            ("a", "MARKETING", "UTILITY", None),
        ),
        (
            "phone_number_quality_update",
            {"display_phone_number": "551130000000", "event": "FLAGGED", "current_limit": "TIER_1K"},
            ("551130000000", "FLAGGED", None, "TIER_1K"),
        ),
        (
            "account_update",
            {"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "SPAM"}},
            (None, "ACCOUNT_VIOLATION", None, "SPAM"),
        ),
        ("account_update", {"event": ["?"], "reason": {"x": 1}, "ban_info": "?"}, (None, None, None, None)),
    ],
)
def test_news_are_read_in_metas_words(company: Any, field: str, value: dict[str, Any], told: tuple[Any, ...]) -> None:
    assert company.process(change(field, **value)).problem is None
    (row,) = news(company)
    assert (row["subject"], row["told"], row["before"], row["reason"]) == told
    assert row["happened_at"].timestamp() == MARCH


def test_a_repeat_is_no_news_and_the_same_thing_later_is(each_company: Any) -> None:
    for at in (MARCH, MARCH, MARCH + 60):
        each_company.process(change("message_template_status_update", at, **PAUSED))
    assert [row["happened_at"].timestamp() - MARCH for row in news(each_company)] == [0, 60]


def test_news_without_a_time_happened_when_they_came(company: Any) -> None:
    company.process(change("account_update", "soon", event="VERIFIED_ACCOUNT"))
    assert news(company)[0]["happened_at"] == company.events()[0]["arrived_at"]


@pytest.mark.parametrize("field", ["smb_message_echoes", "history", "calls", "something_new", ""])
def test_what_may_be_somebodys_words_is_not_taken_for_news(company: Any, field: str) -> None:
    assert company.process(change(field, event="oi, tudo bem?")).problem is None
    assert news(company) == []


def test_news_go_to_every_company_of_the_account_and_to_nobody_else(each_store: Any, connected: Any) -> None:
    first, sister = connected(each_store), connected(each_store, phone_number_id="500000000000002")
    other = connected(each_store, waba_id="400000000000009")
    stranger = connected(each_store, app_secret="another")
    assert first.process(change("account_update", event="VERIFIED_ACCOUNT")).problem is None
    assert [len(news(company)) for company in (first, sister, other, stranger)] == [1, 1, 0, 0]
    done = first.process(change("account_update", waba="4111", event="VERIFIED_ACCOUNT"))
    assert done.problem == "no connection of this app has the waba id 4111"


def test_news_are_not_kept_for_ever(each_company: Any) -> None:
    at = datetime.now(UTC)
    for age in (89, 91):
        each_company.process(change("account_update", int((at - timedelta(days=age)).timestamp()), event="A"))
    with time_machine.travel(at, tick=False):
        assert delete_old(each_company.context("delete"), DeleteOld()).news == 1
    assert len(news(each_company)) == 1

"""What Meta sends becomes rows: exact, absent is NULL, and nothing it may send can stop a sync."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowzz.store.bulk import upsert
from flowzz_facebook.insights import oldest_day, planned, today_in
from flowzz_facebook.models import campaigns, insights
from flowzz_facebook.reading import (
    Unreadable,
    account_row,
    amount,
    columns_of,
    insights_rows,
    minor,
    moment,
    structure_rows,
    text,
    whole,
)

INSIGHT = {
    "account_currency": "BRL",
    "campaign_id": "10",
    "adset_id": "100",
    "ad_id": "1000",
    "spend": "153.27",
    "impressions": "10432",
    "actions": [
        {"action_type": "purchase", "value": "9"},
        {"action_type": "omni_purchase", "value": "4", "7d_click": "3"},
    ],
    "action_values": [{"action_type": "omni_purchase", "value": "791.60"}],
    "date_start": "2026-03-01",
    "date_stop": "2026-03-01",
}
CAMPAIGN = {
    "id": "10",
    "name": "Campanha A",
    "daily_budget": "5000",
    "special_ad_categories": ["HOUSING"],
    "updated_time": "2026-03-01T10:00:00-0300",
}


def test_an_insight_is_read_as_the_reference_shows_it() -> None:
    (row,), problems, lost = insights_rows([INSIGHT], "c", "1", "omni_purchase")
    assert (problems, lost) == ([], 0)
    assert (row["day"], row["spend"], row["impressions"]) == (date(2026, 3, 1), Decimal("153.27"), 10432)
    assert (row["purchases"], row["purchase_value"]) == (Decimal(4), Decimal("791.60"))
    assert (row["clicks"], row["reach"], row["ad_name"]) == (None, None, None)


def test_zero_is_not_absent() -> None:
    (row,), _, _ = insights_rows([{**INSIGHT, "clicks": "0", "spend": "0.00"}], "c", "1", "omni_purchase")
    assert (row["clicks"], row["spend"], row["reach"]) == (0, Decimal(0), None)


def test_what_cannot_be_read_is_told_and_null() -> None:
    bad = {**INSIGHT, "spend": "much", "clicks": "1.5", "reach": {}}
    (row,), problems, lost = insights_rows([bad, {"ad_id": "7"}, 3], "c", "1", "omni_purchase")
    assert (row["spend"], row["clicks"], row["reach"], row["impressions"], lost) == (None, None, None, 10432, 2)
    assert problems[0] == "row 1: spend: expected an amount, got 'much'"
    assert len(problems) == 5


def test_rows_of_more_than_a_day_are_refused() -> None:
    assert insights_rows([{**INSIGHT, "date_stop": "2026-03-28"}], "c", "1", "purchase")[2] == 1


def test_a_row_that_comes_twice_is_one() -> None:
    rows, _, _ = insights_rows([INSIGHT, {**INSIGHT, "spend": "1.00"}], "c", "1", "purchase")
    assert [row["spend"] for row in rows] == [Decimal(1)]


def test_an_object_is_read() -> None:
    (row,), problems, _ = structure_rows([CAMPAIGN], columns_of("campaigns", "BRL"), "c", "1")
    assert problems == []
    assert (row["daily_budget"], row["spend_cap"], row["special_ad_categories"]) == (Decimal(50), None, ["HOUSING"])
    assert row["updated_at"] == datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("currency", "units", "major"),
    [("BRL", "5001", "50.01"), ("JPY", "5001", "5001"), ("CLP", "1", "1"), (None, "1", "0.01"), ("BRL", "", None)],
)
def test_budgets_come_in_minor_units(currency: str | None, units: str, major: str | None) -> None:
    assert minor(currency)(units) == (None if major is None else Decimal(major))


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (amount, "NaN"),
        (amount, "1e30"),
        (amount, 1.5),
        (amount, []),
        (whole, "1e3"),
        (whole, True),
        (whole, "9" * 30),
        (moment, "yesterday"),
        (moment, 5),
        (text, {"a": 1}),
    ],
)
def test_what_is_not_as_meta_writes_it_is_refused(read: Any, value: Any) -> None:
    with pytest.raises(Unreadable):
        read(value)


def test_an_account_without_a_time_zone_counts_days_in_utc() -> None:
    row, problems = account_row({"currency": "JPY", "balance": "99"}, "c", "1")
    assert (row["timezone"], row["balance"]) == ("UTC", Decimal(99))
    assert "timezone_name" in problems[0]


def test_days_are_the_accounts_own() -> None:
    at = datetime(2026, 11, 26, 1, 30, tzinfo=UTC)
    assert [today_in(zone, at).day for zone in ("America/Sao_Paulo", "Asia/Tokyo", "Mars/Base")] == [25, 26, 26]


def test_windows_are_planned_newest_first() -> None:
    today = date(2026, 11, 25)

    def days(*arguments: Any) -> list[tuple[str, str, bool]]:
        return [(window.since, window.until, window.as_report) for window in planned(today, *arguments)]

    assert days(90, today) == [("2026-10-29", "2026-11-25", True)]
    assert days(30, None) == [("2026-10-29", "2026-11-25", True), ("2026-10-27", "2026-10-28", False)]
    assert days(90, date(2026, 10, 20))[1] == ("2026-10-20", "2026-10-28", True)
    assert days(1120, None)[-1][0] == "2023-11-02"
    assert oldest_day(date(2026, 3, 31)) == date(2023, 3, 4)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(
        ["\x00", "\ud800", "9" * 400, "1e400", "NaN", "0001-01-01T00:00:00+2359", "9999-12-31", "-1", "١"]
    )
    | st.lists(st.dictionaries(st.sampled_from(["action_type", "value"]), st.text(max_size=3) | st.none()), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)


def bent(document: dict[str, Any]) -> Any:
    """``document`` with any of its values replaced by anything, or anything at all."""
    changes = st.dictionaries(st.sampled_from(sorted(document)), VALUES, max_size=4)
    return changes.map(lambda given: {**document, **given}) | VALUES


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(insight=bent({**INSIGHT, "ad_name": "x", "clicks": "1"}), campaign=bent({**CAMPAIGN, "start_time": "x"}))
def test_whatever_comes_is_stored_or_refused(each_company: Any, insight: Any, campaign: Any) -> None:
    """As it comes off the wire, so without what JSON cannot say."""
    company = each_company
    insight, campaign = json.loads(json.dumps(insight)), json.loads(json.dumps(campaign))
    numbers, _, lost = insights_rows([insight], company.id, "1", "omni_purchase")
    objects, _, gone = structure_rows([campaign], columns_of("campaigns", "BRL"), company.id, "1")
    assert (len(numbers) + lost, len(objects) + gone) == (1, 1)
    with company.store.session() as session:
        upsert(session, insights, numbers, ("company_id", "ad_id", "day"))
        upsert(session, campaigns, objects, ("company_id", "campaign_id"), newer_by="updated_at")

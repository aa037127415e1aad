"""What others read: one row an ad and day, labelled as declared, on both databases."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from flowzz_facebook.models import ads, insights
from flowzz_facebook.performance import AD_PERFORMANCE, COLUMNS

START, END = datetime(2026, 11, 1, 3, 0, tzinfo=UTC), datetime(2026, 11, 11, 3, 0, tzinfo=UTC)
"""The first ten days of November in São Paulo."""

DAY = {
    "account_id": "1",
    "campaign_id": "10",
    "ad_set_id": "100",
    "campaign_name": "Campanha de antes",
    "ad_set_name": "Conjunto",
    "ad_name": "Anúncio de antes",
    "currency": "BRL",
    "impressions": 1000,
    "reach": 800,
    "link_clicks": None,
    "purchases": Decimal("1.5"),
    "purchase_value": None,
    "purchase_action_type": "omni_purchase",
}


def store_days(company: Any) -> None:
    with company.store.session() as session:
        for number, day in enumerate((date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 10), date(2026, 11, 11))):
            values = {**DAY, "day": day, "ad_id": "1000", "spend": Decimal(f"{number}.27"), "clicks": number or None}
            session.execute(insights.insert(), {"company_id": company.id, **values})
        row = {"company_id": company.id, "ad_id": "1000", "account_id": "1", "name": "Anúncio", "updated_at": START}
        session.execute(ads.insert(), row)


def test_a_day_is_in_the_range_in_which_it_begins(each_store: Any, connected: Any) -> None:
    company, other = connected(each_store), connected(each_store)
    store_days(company)
    store_days(other)
    with each_store.session() as session:
        found = session.execute(AD_PERFORMANCE.select(company.id, START, END).order_by("date")).mappings().all()
    assert [row["date"] for row in found] == [date(2026, 11, 1), date(2026, 11, 10)]
    assert list(found[0]) == [column.name for column in COLUMNS]
    assert (found[0]["ad"], found[0]["campaign"], found[0]["account"]) == ("Anúncio", "Campanha de antes", None)
    assert (found[0]["purchases"], found[0]["purchase_value"]) == (Decimal("1.5"), None)


def test_a_reader_may_wrap_and_add_up(each_store: Any, connected: Any) -> None:
    company = connected(each_store)
    store_days(company)
    rows = AD_PERFORMANCE.select(company.id, START, END).subquery()
    query = select(rows.c.campaign, func.sum(rows.c.spend), func.sum(rows.c.clicks)).group_by(rows.c.campaign)
    with each_store.session() as session:
        assert session.execute(query).all() == [("Campanha de antes", Decimal("3.54"), 3)]


def test_the_end_is_not_in_it_wherever_in_the_day_it_is(each_store: Any, connected: Any) -> None:
    company = connected(each_store)
    store_days(company)
    with each_store.session() as session:
        later = AD_PERFORMANCE.select(
            company.id, datetime(2026, 11, 1, 12, tzinfo=UTC), datetime(2026, 11, 11, 4, tzinfo=UTC)
        )
        days = [row.date for row in session.execute(later.order_by("date"))]
    assert days == [date(2026, 11, 10), date(2026, 11, 11)]

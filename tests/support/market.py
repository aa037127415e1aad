"""A plugin that offers rows for reports: sales and ads in plain tables, with what real sources have: gaps and drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, Column, Date, Integer, MetaData, Numeric, Select, Table, Text, insert, select

from flowzz.plugins.contributions import DataColumn, DataSource, Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.store import Money, Store, UtcDateTime

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
metadata = MetaData()

SALES_TEXTS = ("status", "state", "product", "offer", "client", "client_key", "uf", "payment_method")
UTMS = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")

sales = Table(
    "market_sales",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("company_id", Text, nullable=False, index=True),
    Column("order_number", Text, nullable=False),
    Column("ordered_at", UtcDateTime, index=True),
    *(Column(name, Text) for name in (*SALES_TEXTS, *UTMS, "currency")),
    Column("counts", Boolean),
    Column("amount", Money),
    Column("quantity", Integer),
)

AD_TEXTS = ("account_id", "account", "campaign_id", "campaign", "ad_set_id", "ad_set", "ad_id", "ad", "currency")
ads = Table(
    "market_ads",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("company_id", Text, nullable=False, index=True),
    Column("date", Date, nullable=False),
    *(Column(name, Text) for name in AD_TEXTS),
    Column("spend", Money),
    Column("purchase_value", Money),
    Column("purchases", Numeric(16, 4, asdecimal=True).with_variant(Money, "sqlite")),
    *(Column(name, Integer) for name in ("impressions", "clicks", "reach")),
)


def select_sales(company_id: str, start: datetime, end: datetime) -> Select[Any]:
    columns = [column for column in sales.c if column.name not in ("id", "company_id")]
    mine = (sales.c.company_id == company_id) & (sales.c.ordered_at >= start) & (sales.c.ordered_at < end)
    return select(*columns).where(mine)


def select_ads(company_id: str, start: datetime, end: datetime) -> Select[Any]:
    first, last = start.astimezone(SAO_PAULO).date(), (end - timedelta(microseconds=1)).astimezone(SAO_PAULO).date()
    columns = [column for column in ads.c if column.name not in ("id", "company_id")]
    return select(*columns).where(ads.c.company_id == company_id, ads.c.date.between(first, last))


def source(name: str, topic: str, title: str, made: Any, plugin: str = "market") -> DataSource:
    columns = tuple(
        DataColumn(name=column, title=column, kind="text")
        for column in made("", NEVER, NEVER).selected_columns.keys()  # noqa: SIM118
    )
    return DataSource(name=f"{plugin}.{name}", plugin=plugin, topic=topic, title=title, columns=columns, select=made)


NEVER = datetime(2000, 1, 1, tzinfo=SAO_PAULO)


def _plugin(*sources: DataSource) -> Plugin:
    class Hooks:
        @hookimpl
        def flowzz_data_sources(self) -> list[DataSource]:
            return list(sources)

    return Plugin(name="market", title="Market", api=">=1.2,<2", hooks=Hooks())


SALES = source("sales", "sales", "Market: vendas", select_sales)
ADS = source("ads", "ad_performance", "Market: anúncios", select_ads)
plugin = _plugin(SALES, ADS)
sales_alone = _plugin(SALES)
ads_alone = _plugin(ADS)


def order(number: int | str, day: str, **values: Any) -> dict[str, Any]:
    """A paid order at noon of São Paulo on that day (or at the time that stands behind it)."""
    moment = datetime.fromisoformat(day if "T" in day else f"{day}T12:00").replace(tzinfo=SAO_PAULO)
    paid = {"status": "Aprovado", "state": "paid", "counts": True, "amount": Decimal("100.00"), "quantity": 1}
    who = {"client": f"Cliente {number}", "client_key": f"{number}", "uf": "SP", "product": "Kit", "currency": "BRL"}
    return {"order_number": str(number), "ordered_at": moment, **paid, **who, **values}


def ad(day: str, campaign: str, **values: Any) -> dict[str, Any]:
    """One ad's day."""
    names = {"account_id": "act_1", "account": "Conta", "campaign_id": f"id-{campaign}", "campaign": campaign}
    below = {"ad_set_id": "s1", "ad_set": "Conjunto", "ad_id": "a1", "ad": "Anúncio", "currency": "BRL"}
    return {"date": date.fromisoformat(day), **names, **below, **values}


def stock(store: Store, company_id: str, rows: Iterable[Mapping[str, Any]], table: Table = sales) -> None:
    """Put rows into one of the tables, which are made when missing."""
    metadata.create_all(store.engine)
    empty = {column.name: None for column in table.c if column.name not in ("id", "company_id")}
    given = [{**empty, **row, "company_id": company_id} for row in rows]
    with store.session() as session:
        for start in range(0, len(given), 1_000):
            session.execute(insert(table), given[start : start + 1_000])

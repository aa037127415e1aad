"""What other plugins read of the orders: topic ``sales``, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from flowzz_coinzz.normalise import normalise_order
from flowzz_coinzz.orders import Sighting, Source, store_sightings
from flowzz_coinzz.sales_source import COLUMNS, SALES

START, END = datetime(2026, 3, 1, 3, tzinfo=UTC), datetime(2026, 4, 1, 3, tzinfo=UTC)
"""March in São Paulo."""


def order(number: str, status: str = "Aprovado", shipping: str = "A enviar", **more: Any) -> dict[str, Any]:
    client = {"client_name": "Ana", "client_documment": "000.000.001-91", "client_address_state": "sp"}
    return {
        "client": client | more.pop("client", {}),
        "order": {
            "order_number": number,
            "order_status": status,
            "shipping_status": shipping,
            "date_order": "2026-03-02 14:05:09",
            "order_final_price": "197.90",
            "order_quantity": 2,
            "method_payment": "pix",
            "product_name": "Produto",
            "offer_name": "2 unidades",
            **more,
        },
        "utms": {"utm_source": "facebook", "utm_campaign": "c1", "utm_term": ""},
    }


def keep(company: Any, *documents: dict[str, Any], at: datetime = START) -> None:
    with company.store.session() as session:
        seen = [Sighting(normalise_order(one), Source.PULL, at, b"{}", authoritative=True) for one in documents]
        store_sightings(session, company.id, seen)


def read(company: Any, start: datetime = START, end: datetime = END) -> dict[str, dict[str, Any]]:
    with company.store.session() as session:
        found = session.execute(SALES.select(company.id, start, end)).mappings()
        return {row["order_number"]: dict(row) for row in found}


def test_a_row_has_the_columns_in_their_order_and_types(each_offline: Any) -> None:
    keep(each_offline, order("a"))
    row = read(each_offline)["a"]
    assert list(row) == [column.name for column in COLUMNS]
    assert row == {
        "order_number": "a",
        "ordered_at": datetime(2026, 3, 2, 17, 5, 9, tzinfo=UTC),
        "status": "Aprovado",
        "state": "paid",
        "counts": True,
        "amount": Decimal("197.9"),
        "quantity": 2,
        "product": "Produto",
        "offer": "2 unidades",
        "client": "Ana",
        "client_key": row["client_key"],
        "uf": "SP",
        "payment_method": "pix",
        "utm_source": "facebook",
        "utm_medium": None,
        "utm_campaign": "c1",
        "utm_content": None,
        "utm_term": None,
        "currency": "BRL",
    }
    assert row["client_key"].endswith("191")


@pytest.mark.parametrize(
    ("status", "shipping", "method", "state", "counts"),
    [
        ("Aprovado", "A enviar", "pix", "paid", True),
        ("Aprovado", "A caminho", "pix", "shipped", True),
        ("Aprovado", "Recebido", "pix", "delivered", True),
        ("Aguardando pagamento", "A enviar", "pix", "open", False),
        ("Aguardando pagamento", "Enviado", "pix", "shipped", False),
        ("Aguardando envio", "A caminho", "afterpay", "shipped", False),
        ("Aprovado", "A caminho", "Venda pós-paga", "shipped", False),
        ("Aguardando envio", "Recebido", "afterpay", "delivered", True),
        ("Aprovado", "Devolvido", "pix", "returned", False),
        ("Cancelado", "A enviar", "pix", "canceled", False),
        ("Reembolsado", "Recebido", "pix", "refunded", False),
        ("Chargeback", "Recebido", "afterpay", "refunded", False),
        ("Nunca visto", "", "pix", "unknown", False),
        ("Aprovado", "Nunca visto", "", "paid", True),
    ],
)
def test_what_counts_as_revenue(
    each_offline: Any, status: str, shipping: str, method: str, state: str, counts: bool
) -> None:
    keep(each_offline, order("a", status, shipping, method_payment=method))
    row = read(each_offline)["a"]
    assert (row["state"], bool(row["counts"])) == (state, counts)


def test_a_deleted_order_is_canceled(each_offline: Any) -> None:
    keep(each_offline, order("a", deleted_at="2026-03-05 10:00:00"))
    assert (read(each_offline)["a"]["state"], read(each_offline)["a"]["counts"]) == ("canceled", False)


def test_the_end_is_left_out_and_an_order_without_a_date_counts_when_it_was_heard_of(each_offline: Any) -> None:
    keep(
        each_offline,
        order("first", date_order="2026-03-01 00:00:00"),
        order("last", date_order="2026-03-31 23:59:59"),
        order("before", date_order="2026-02-28 23:59:59"),
        order("after", date_order="2026-04-01 00:00:00"),
    )
    assert set(read(each_offline)) == {"first", "last"}
    undated = order("undated")
    del undated["order"]["date_order"]
    keep(each_offline, undated)
    with each_offline.store.session() as session:
        heard = session.scalar(
            select(
                func.max(SALES.select(each_offline.id, START, datetime.max.replace(tzinfo=UTC)).subquery().c.ordered_at)
            )
        )
    assert heard is not None
    assert "undated" in read(each_offline, heard, datetime(2999, 1, 1, tzinfo=UTC))
    assert read(each_offline, heard, datetime(2999, 1, 1, tzinfo=UTC))["undated"]["ordered_at"] == heard


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ({"client_email": "Ana@Example.com"}, "document"),
        ({"client_documment": "", "client_email": "Ana@Example.com"}, "ana@example.com"),
        ({"client_documment": None, "client_phone": "+55 11900000000"}, "+5511900000000"),
        ({"client_documment": None}, None),
    ],
)
def test_who_a_client_is(each_offline: Any, client: dict[str, Any], key: str | None) -> None:
    keep(each_offline, order("a", client=client))
    row = each_offline.orders()["a"]
    expected = row["client_document"] if key == "document" else key
    assert read(each_offline)["a"]["client_key"] == expected


def test_it_adds_up_as_a_subquery_and_no_company_sees_anothers(each_offline: Any, connected: Any) -> None:
    other = connected(each_offline.store)
    keep(each_offline, order("a"), order("b", order_final_price="0.10"), order("c", "Cancelado"))
    keep(other, order("x"))
    rows = SALES.select(each_offline.id, START, END).subquery()
    with each_offline.store.session() as session:
        total = session.scalar(select(func.sum(rows.c.amount)).where(rows.c.counts))
    assert total == Decimal("198.00")
    assert set(read(other)) == {"x"}

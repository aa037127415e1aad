"""The orders as other plugins read them: topic ``sales``, one row an order.

What counts as revenue is our judgement, made here once: an order that is paid and was neither lost, disputed nor
returned; one that is paid on delivery only when it was delivered, for then the money is earned (reference §6.6).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select

from flowzz.jobs.sources import DataColumn, DataSource
from flowzz_coinzz.coerce import SAO_PAULO
from flowzz_coinzz.models import orders
from flowzz_coinzz.vocabulary import OrderGroup, PaymentMethod, ShippingGroup

CURRENCY = "BRL"

COLUMNS = (
    DataColumn(name="order_number", title="Order", kind="text", description="Coinzz's order hash."),
    DataColumn(name="ordered_at", title="Ordered at", kind="datetime", description="Else when we first heard of it."),
    DataColumn(name="status", title="Status", kind="text", description="Coinzz's own label, as it came."),
    DataColumn(
        name="state",
        title="State",
        kind="text",
        description="paid, open, canceled, refunded, shipped, delivered, returned or unknown.",
    ),
    DataColumn(name="counts", title="Counts as revenue", kind="boolean"),
    DataColumn(name="amount", title="Amount", kind="money"),
    DataColumn(name="quantity", title="Quantity", kind="integer"),
    DataColumn(name="product", title="Product", kind="text"),
    DataColumn(name="offer", title="Offer", kind="text"),
    DataColumn(name="client", title="Client", kind="text"),
    DataColumn(
        name="client_key", title="Client identity", kind="text", description="The document, else e-mail, else phone."
    ),
    DataColumn(name="uf", title="State (UF)", kind="text"),
    DataColumn(name="payment_method", title="Payment method", kind="text"),
    DataColumn(name="utm_source", title="UTM source", kind="text"),
    DataColumn(name="utm_medium", title="UTM medium", kind="text"),
    DataColumn(name="utm_campaign", title="UTM campaign", kind="text"),
    DataColumn(name="utm_content", title="UTM content", kind="text"),
    DataColumn(name="utm_term", title="UTM term", kind="text"),
    DataColumn(name="currency", title="Currency", kind="text"),
)


def _state() -> ColumnElement[str]:
    """The first that fits: what ended an order says more than how far its parcel came."""
    order, shipping = orders.c.order_group, orders.c.shipping_group
    return case(
        (orders.c.deleted_at.is_not(None), "canceled"),
        (order == OrderGroup.DISPUTE.value, "refunded"),
        (order == OrderGroup.LOST.value, "canceled"),
        (shipping == ShippingGroup.FAILED.value, "returned"),
        (shipping == ShippingGroup.DELIVERED.value, "delivered"),
        (shipping == ShippingGroup.MOVING.value, "shipped"),
        (order == OrderGroup.PAID.value, "paid"),
        (order == OrderGroup.OPEN.value, "open"),
        else_="unknown",
    )


def _counts(state: ColumnElement[str]) -> ColumnElement[bool]:
    on_delivery = func.coalesce(orders.c.payment_method, "") == PaymentMethod.AFTERPAY.value
    is_paid = func.coalesce(orders.c.order_group, "") == OrderGroup.PAID.value
    return or_(state == "delivered", and_(~on_delivery, is_paid, state.in_(("paid", "shipped"))))


def _within(start: datetime, end: datetime) -> ColumnElement[bool]:
    """Orders of that time. The days, a little wider, are what an index finds; one without a date has its arrival's."""
    first, last = _day(start, -1), _day(end, 1)
    dated = and_(orders.c.day.between(first, last), orders.c.ordered_at >= start, orders.c.ordered_at < end)
    undated = and_(orders.c.day.is_(None), orders.c.first_seen_at >= start, orders.c.first_seen_at < end)
    return or_(dated, undated)


def _day(moment: datetime, further: int) -> date:
    """The day of ``moment`` and ``further`` days on, as far as days go."""
    try:
        return moment.astimezone(SAO_PAULO).date() + timedelta(days=further)
    except OverflowError:
        return date.min if further < 0 else date.max


def sales(company_id: str, start: datetime, end: datetime) -> Select[Any]:
    """The company's orders from ``start`` to before ``end``, as ``COLUMNS`` says."""
    state = _state()
    given = {
        "ordered_at": func.coalesce(orders.c.ordered_at, orders.c.first_seen_at),
        "status": orders.c.order_status,
        "state": state,
        "counts": _counts(state),
        "amount": orders.c.final_price,
        "product": orders.c.product_name,
        "offer": orders.c.offer_name,
        "client": orders.c.client_name,
        "client_key": func.coalesce(
            func.nullif(orders.c.client_document, ""),
            func.lower(func.nullif(orders.c.client_email, "")),
            orders.c.client_phone,
        ),
        "uf": orders.c.state,
        "currency": literal(CURRENCY),
    }
    columns = [given[one.name] if one.name in given else orders.c[one.name] for one in COLUMNS]
    return select(*(column.label(one.name) for column, one in zip(columns, COLUMNS, strict=True))).where(
        orders.c.company_id == company_id, orders.c.fingerprint.is_not(None), _within(start, end)
    )


SALES = DataSource(
    name="coinzz.sales", plugin="coinzz", topic="sales", title="Coinzz sales", columns=COLUMNS, select=sales
)

"""What reports count and add up of sales: the same measures for a total as for every group of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func

from flowzz_report.arithmetic import quotient, total, whole, whole_or_none
from flowzz_report.document import Column, Row
from flowzz_report.rows import Rows

UNNAMED = "(não informado)"


class Measures:
    """What every table of sales counts and adds up."""

    def __init__(self, rows: Rows) -> None:
        sold = rows.c.counts.is_(True)
        self.orders = func.count()
        self.sales = func.count().filter(sold)
        self.revenue = func.sum(rows.c.amount).filter(sold)
        self.priced = func.count(rows.c.amount).filter(sold)
        self.units = func.sum(rows.c.quantity).filter(sold)
        self.amount = func.sum(rows.c.amount)

    @property
    def columns(self) -> tuple[ColumnElement[Any], ...]:
        return (self.orders, self.sales, self.revenue, self.priced, self.units, self.amount)


class Sums:
    """The measures of one group. ``revenue`` is 0 when nothing was sold, None when nothing sold had an amount."""

    def __init__(
        self,
        orders: Any = 0,
        sales: Any = 0,
        revenue: Any = None,
        priced: Any = 0,
        units: Any = None,
        amount: Any = None,
    ) -> None:
        self.orders = whole(orders)
        self.sales = whole(sales)
        self.priced = whole(priced)
        self.revenue: Decimal | None = revenue if revenue is not None or self.sales else Decimal(0)
        self.units = whole_or_none(units) if units is not None or self.sales else 0
        self.amount: Decimal | None = amount if amount is not None or self.orders else Decimal(0)

    @property
    def ticket(self) -> Decimal | None:
        """Revenue over the sales whose amount is known."""
        return quotient(self.revenue, self.priced)

    @property
    def without_amount(self) -> int:
        return self.sales - self.priced


NOTHING = Sums()


def sums_of(rows: Rows) -> Sums:
    """All rows as one group."""
    return Sums(*rows.one(rows.query(*Measures(rows).columns)))


def measured(rows: Rows, *by: ColumnElement[Any]) -> Sequence[tuple[Any, ...]]:
    """One tuple a group: its keys, then its Sums; most revenue first, then most orders, then by key."""
    measures = Measures(rows)
    query = rows.query(*by, *measures.columns).group_by(*by)
    found = [(*row[: len(by)], Sums(*row[len(by) :])) for row in rows.all(query)]
    return sorted(
        found, key=lambda row: (-(row[-1].revenue or 0), -row[-1].orders, *(str(key or "") for key in row[:-1]))
    )


PER_GROUP = (
    Column("Pedidos", "integer", total=True, width=10),
    Column("Vendas", "integer", total=True, width=10),
    Column("Receita", "money", total=True, width=16),
    Column("Ticket médio", "money", width=14),
)


def values_of(sums: Sums) -> Row:
    return (sums.orders, sums.sales, sums.revenue, sums.ticket)


def topped(found: Sequence[tuple[Any, Sums]], most: int, sums: Sums, *, named: bool = True) -> list[tuple[Any, Sums]]:
    """The first ``most`` groups, and one more of all the others together, so that the columns still add up."""
    shown = [((name or UNNAMED) if named else name, each) for name, each in found[:most]]
    rest = [each for _, each in found[most:]]
    if not rest:
        return shown
    return [*shown, (f"Outros ({len(rest)})", added_up(rest))]


def added_up(groups: Iterable[Sums]) -> Sums:
    """Several groups as one."""
    parts = list(groups)
    return Sums(
        sum(each.orders for each in parts),
        sum(each.sales for each in parts),
        total(each.revenue for each in parts),
        sum(each.priced for each in parts),
        total(each.units for each in parts),
        total(each.amount for each in parts),
    )

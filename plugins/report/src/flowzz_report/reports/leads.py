"""Leads: the clients of a period, who is new and who came back, from which state and by which origin.

A client is a ``client_key``. New is whose very first order, of all that the sources know and whatever the filters say,
lies in the period.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, select

from flowzz_report.arithmetic import quotient, whole
from flowzz_report.document import Chart, Column, Document, Figure, Listing, Row, Table
from flowzz_report.period import local
from flowzz_report.reports.inquiry import Inquiry
from flowzz_report.reports.measures import UNNAMED, Measures, Sums, sums_of
from flowzz_report.reports.sales import DAYS_IN_PDF
from flowzz_report.rows import Rows
from flowzz_report.topics import SALES
from flowzz_report.wording import counted

EVER = datetime(1970, 1, 1, tzinfo=UTC)
MOST_ORIGINS = 200
PER_GROUP = (
    Column("Clientes", "integer", total=True, width=10),
    Column("Novos", "integer", total=True, width=10),
    Column("Recorrentes", "integer", total=True, width=12),
    Column("Pedidos", "integer", total=True, width=10),
    Column("Receita", "money", total=True, width=16),
)


def build(inquiry: Inquiry) -> Document:
    """Raises Permanent when no source of sales is installed."""
    inquiry.require(SALES)
    rows = inquiry.rows(SALES)
    currency = inquiry.in_one_currency(rows, what="pedidos")
    clients = _clients(inquiry, rows)
    total = _group(inquiry.session.execute(_grouped(clients)).one())
    inquiry.progress(0.4, "clients")
    nameless = whole(rows.one(rows.query(func.count()).where(rows.c.client_key.is_(None)))[0])
    if nameless:
        said = counted(nameless, "pedido não identifica", "pedidos não identificam")
        inquiry.notices.append(f"{said} o cliente e fica de fora deste relatório.")
    tables = (
        _by_day(inquiry, clients, total),
        _by(inquiry, clients, clients.c.uf, "UF", "Clientes por estado", "(sem UF)", total),
        _by(inquiry, clients, clients.c.origin, "Origem", "Clientes por origem (UTM)", "(sem UTM)", total),
    )
    inquiry.progress(0.9, "groups")
    return Document(
        kind="leads",
        title="Relatório de clientes",
        company=inquiry.company,
        period=inquiry.period,
        currency=currency,
        generated_at=inquiry.generated_at,
        report_id=inquiry.report_id,
        figures=_figures(total, sums_of(rows)),
        tables=tables,
        listing=_listing(inquiry, clients, total),
        notices=tuple(inquiry.notices),
        filters=inquiry.described_filters,
        sources=inquiry.source_titles,
    )


def _clients(inquiry: Inquiry, rows: Rows) -> FromClause:
    """One row a client: who, from where, since when, and what was bought in the period."""
    measures = Measures(rows)
    c = rows.c
    within = (
        rows.query(
            c.client_key.label("key"),
            func.max(c.client).label("client"),
            func.max(c.uf).label("uf"),
            func.min(c.utm_source).label("origin"),
            func.min(c.day).label("day"),
            measures.orders.label("orders"),
            measures.sales.label("sales"),
            measures.revenue.label("revenue"),
        )
        .where(c.client_key.is_not(None))
        .group_by(c.client_key)
        .subquery("within")
    )
    every = inquiry.rows(SALES, since=EVER)
    first = every.query(every.c.client_key.label("key"), func.min(every.c.ordered_at).label("first_at"))
    ever = first.where(every.c.client_key.is_not(None)).group_by(every.c.client_key).subquery("ever")
    is_new = and_(ever.c.first_at.is_not(None), ever.c.first_at >= inquiry.period.start)
    columns = [column for column in within.c if column.name != "key"]
    joined = within.outerjoin(ever, within.c.key == ever.c.key)
    return (
        select(within.c.key, *columns, ever.c.first_at, is_new.label("is_new")).select_from(joined).subquery("clients")
    )


def _grouped(clients: FromClause, *by: ColumnElement[Any]) -> Select[Any]:
    c = clients.c
    counts = (func.count(), func.count().filter(c.is_new.is_(True)), func.sum(c.orders), func.sum(c.sales))
    query = select(*by, *counts, func.sum(c.revenue)).select_from(clients)
    return query.group_by(*by) if by else query


def _group(found: Any) -> Row:
    """Clients, new, returning, orders, revenue: None where there were sales and none had an amount."""
    clients, new, orders, sales, revenue = found
    sums = Sums(orders, sales, revenue)
    return (whole(clients), whole(new), whole(clients) - whole(new), sums.orders, sums.revenue)


def _figures(total: Row, sums: Sums) -> tuple[Figure, ...]:
    clients, new, returning, orders, revenue = total
    return (
        Figure("Clientes", clients, "integer", "com pelo menos um pedido"),
        Figure("Novos", new, "integer", "primeiro pedido no período"),
        Figure("Recorrentes", returning, "integer", "já tinham comprado antes"),
        Figure("Clientes novos", quotient(new, clients), "percent", "do total de clientes"),
        Figure("Pedidos por cliente", quotient(orders, clients), "decimal", f"de {sums.orders} pedidos ao todo"),
        Figure("Receita por cliente", quotient(revenue, clients), "money", "média do período"),
    )


def _by_day(inquiry: Inquiry, clients: FromClause, total: Row) -> Table:
    """A client counts on the day of the first order in the period, so that the days add up."""
    found = {row[0]: _group(row[1:]) for row in inquiry.session.execute(_grouped(clients, clients.c.day))}
    days = inquiry.period.each_day()
    none = _group((0, 0, None, None, None))
    return Table(
        name="Por dia",
        title="Clientes por dia do primeiro pedido no período",
        columns=(Column("Dia", "date", width=12), *PER_GROUP),
        rows=[(day, *found.get(day, none)) for day in days],
        total=("Total", *total),
        in_pdf=len(days) <= DAYS_IN_PDF,
        charts=(Chart("Novos e recorrentes por dia", "columns" if len(days) <= DAYS_IN_PDF else "line", 0, (2, 3)),),
    )


def _by(
    inquiry: Inquiry, clients: FromClause, by: ColumnElement[Any], name: str, title: str, unknown: str, total: Row
) -> Table:
    found = [(row[0], _group(row[1:])) for row in inquiry.session.execute(_grouped(clients, by))]
    found.sort(key=lambda group: (-group[1][0], str(group[0])))
    rows = [(key or unknown, *values) for key, values in found[:MOST_ORIGINS]]
    rest = [values for _, values in found[MOST_ORIGINS:]]
    if rest:
        rows.append(
            (f"Outros ({len(rest)})", *(sum(value or 0 for value in column) for column in zip(*rest, strict=True)))
        )
    return Table(
        name=name,
        title=title,
        columns=(Column(name, width=22), *PER_GROUP),
        rows=rows,
        total=("Total", *total),
        charts=(Chart(title, "bars", 0, (1,), limit=10),),
    )


LISTED = (
    Column("Cliente", width=34),
    Column("UF", width=6),
    Column("Origem", width=16),
    Column("Primeiro pedido", "datetime", width=17),
    Column("Novo", "boolean", width=8),
    Column("Pedidos", "integer", total=True, width=10),
    Column("Vendas", "integer", total=True, width=10),
    Column("Receita", "money", total=True, width=16),
)


def _listing(inquiry: Inquiry, clients: FromClause, total: Row) -> Listing:
    c = clients.c
    sales = whole(inquiry.session.execute(select(func.sum(c.sales)).select_from(clients)).scalar())

    def stream() -> Iterator[Row]:
        query = select(c.client, c.uf, c.origin, c.first_at, c.is_new, c.orders, c.sales, c.revenue)
        ordered = query.select_from(clients).order_by(func.coalesce(c.revenue, 0).desc(), c.orders.desc(), c.key)
        for row in inquiry.session.execute(ordered, execution_options={"yield_per": 2_000}):
            name, uf, origin, first, new, orders, of_sales, revenue = row
            sums = Sums(orders, of_sales, revenue)
            since = local(first) if first is not None else None
            yield (name or UNNAMED, uf, origin, since, bool(new), sums.orders, sums.sales, sums.revenue)

    return Listing(
        name="Clientes",
        title="Clientes",
        columns=LISTED,
        count=total[0],
        rows=stream,
        total=("Total", "", "", None, None, total[3], sales, total[4]),
    )

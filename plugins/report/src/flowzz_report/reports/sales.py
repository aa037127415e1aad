"""Sales: totals, average ticket, by status, day, product, client and UTM, and every order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import func

from flowzz_report.arithmetic import growth, quotient, whole, whole_or_none
from flowzz_report.document import Chart, Column, Document, Figure, Listing, Row, Table
from flowzz_report.period import local
from flowzz_report.reports.inquiry import Inquiry
from flowzz_report.reports.measures import (
    NOTHING,
    PER_GROUP,
    UNNAMED,
    Measures,
    Sums,
    added_up,
    measured,
    sums_of,
    topped,
    values_of,
)
from flowzz_report.rows import Rows, previous
from flowzz_report.topics import SALES, STATES, width_of
from flowzz_report.wording import compared, counted

MOST_PRODUCTS, MOST_CLIENTS, MOST_UTMS = 500, 100, 500
DAYS_IN_PDF = 92
"""Longer periods are tabled by month in a PDF; a workbook has every day all the same."""

LISTED = (
    "order_number",
    "ordered_at",
    "status",
    "state",
    "amount",
    "quantity",
    "product",
    "offer",
    "client",
    "uf",
    "payment_method",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
)

SUMMED = (
    "status",
    "state",
    "counts",
    "amount",
    "quantity",
    "product",
    "client",
    "client_key",
    "uf",
    "payment_method",
    "utm_source",
    "utm_medium",
    "utm_campaign",
)
"""What the figures and tables are made of."""


def build(inquiry: Inquiry) -> Document:
    """Raises Permanent when no source of sales is installed."""
    inquiry.require(SALES)
    is_long = inquiry.period.days > DAYS_IN_PDF
    only = (*SUMMED, "month") if is_long else SUMMED
    rows = inquiry.rows(SALES, only=None if inquiry.lists else only)
    currency = inquiry.in_one_currency(rows, what="pedidos")
    sums = sums_of(rows)
    if sums.without_amount:
        said = counted(sums.without_amount, "venda não tem", "vendas não têm")
        inquiry.notices.append(f"{said} valor informado: conta nas quantidades, não na receita nem no ticket médio.")
    inquiry.progress(0.2, "totals")
    statuses = sorted(measured(rows, rows.c.state, rows.c.status), key=lambda row: (-row[2].orders, str(row[1])))
    makers: Mapping[str, Callable[[], Table]] = {
        "by day": lambda: _by_day(rows, inquiry, sums),
        **({"by month": lambda: _by_month(rows, inquiry, sums)} if is_long else {}),
        "by state": lambda: _by_state(statuses, sums),
        "by status": lambda: _by_status(statuses, sums),
        "by product": lambda: _by_product(rows, sums),
        "by client": lambda: _by_client(rows),
        "by utm": lambda: _by_utm(rows, sums),
        "by payment": lambda: _by_payment(rows, sums),
    }
    tables: list[Table] = []
    for at, (name, make) in enumerate(makers.items()):
        tables.append(make())
        inquiry.progress(0.3 + 0.08 * at, name)
    return Document(
        kind="sales",
        title="Relatório de vendas",
        company=inquiry.company,
        period=inquiry.period,
        currency=currency,
        generated_at=inquiry.generated_at,
        report_id=inquiry.report_id,
        figures=_figures(inquiry, rows, sums, currency),
        tables=tuple(tables),
        listing=_listing(inquiry, rows, sums),
        notices=tuple(inquiry.notices),
        filters=inquiry.described_filters,
        sources=inquiry.source_titles,
    )


def _figures(inquiry: Inquiry, rows: Rows, sums: Sums, currency: str) -> tuple[Figure, ...]:
    before = inquiry.rows(SALES, previous(inquiry.period))
    before.restrict(before.c.currency == currency)
    past = sums_of(before)
    clients = whole(rows.one(rows.query(func.count(rows.c.client_key.distinct())))[0])
    return (
        Figure("Receita", sums.revenue, "money", compared(growth(sums.revenue, past.revenue))),
        Figure("Vendas", sums.sales, "integer", compared(growth(sums.sales, past.sales))),
        Figure("Ticket médio", sums.ticket, "money", "receita por venda"),
        Figure("Pedidos", sums.orders, "integer", "em qualquer situação"),
        Figure("Aproveitamento", quotient(sums.sales, sums.orders), "percent", "vendas por pedido"),
        Figure("Clientes", clients, "integer", "com pelo menos um pedido"),
    )


def _by_day(rows: Rows, inquiry: Inquiry, sums: Sums) -> Table:
    found = {row[0]: row[1] for row in measured(rows, rows.c.day)}
    days = inquiry.period.each_day()
    return Table(
        name="Por dia",
        title="Vendas por dia",
        columns=(Column("Dia", "date", width=12), *PER_GROUP),
        rows=[(day, *values_of(found.get(day, NOTHING))) for day in days],
        total=("Total", *values_of(sums)),
        in_pdf=len(days) <= DAYS_IN_PDF,
        charts=(Chart("Receita por dia", "columns" if len(days) <= DAYS_IN_PDF else "line", 0, (3,)),),
    )


def _by_month(rows: Rows, inquiry: Inquiry, sums: Sums) -> Table:
    found = {row[0]: row[1] for row in measured(rows, rows.c.month)}
    months: list[date] = list(dict.fromkeys(day.replace(day=1) for day in inquiry.period.each_day()))
    return Table(
        name="Por mês",
        title="Vendas por mês",
        columns=(Column("Mês", "month", width=12), *PER_GROUP),
        rows=[(month, *values_of(found.get(month, NOTHING))) for month in months],
        total=("Total", *values_of(sums)),
    )


def _by_state(statuses: Sequence[tuple[Any, ...]], sums: Sums) -> Table:
    of_state: dict[str | None, list[Sums]] = {}
    for state, _, each in statuses:
        of_state.setdefault(state, []).append(each)
    found = {state: added_up(parts) for state, parts in of_state.items()}
    order = [*(state for state in STATES if state in found), *(state for state in found if state not in STATES)]
    return Table(
        name="Situação",
        title="Pedidos por situação",
        columns=(
            Column("Situação", width=18),
            Column("Pedidos", "integer", total=True, width=10),
            Column("% dos pedidos", "percent", width=14),
            Column("Valor", "money", total=True, width=16),
        ),
        rows=[
            (state_name(state), found[state].orders, quotient(found[state].orders, sums.orders), found[state].amount)
            for state in order
        ],
        total=("Total", sums.orders, quotient(sums.orders, sums.orders), sums.amount),
        charts=(Chart("Pedidos por situação", "bars", 0, (1,), limit=10),),
    )


def _by_status(statuses: Sequence[tuple[Any, ...]], sums: Sums) -> Table:
    return Table(
        name="Status",
        title="Status de origem",
        columns=(
            Column("Status na origem", width=26),
            Column("Situação", width=18),
            Column("Pedidos", "integer", total=True, width=10),
            Column("Valor", "money", total=True, width=16),
        ),
        rows=[(status or UNNAMED, state_name(state), each.orders, each.amount) for state, status, each in statuses],
        total=("Total", "", sums.orders, sums.amount),
    )


def _by_product(rows: Rows, sums: Sums) -> Table:
    found = measured(rows, rows.c.product)
    return Table(
        name="Produtos",
        title="Vendas por produto",
        columns=(
            Column("Produto", width=38),
            Column("Pedidos", "integer", total=True, width=10),
            Column("Vendas", "integer", total=True, width=10),
            Column("Unidades", "integer", total=True, width=10),
            Column("Receita", "money", total=True, width=16),
            Column("% da receita", "percent", width=12),
        ),
        rows=[
            (name, each.orders, each.sales, each.units, each.revenue, quotient(each.revenue, sums.revenue))
            for name, each in topped(found, MOST_PRODUCTS, sums)
        ],
        total=("Total", sums.orders, sums.sales, sums.units, sums.revenue, quotient(sums.revenue, sums.revenue)),
        charts=(Chart("Receita por produto", "bars", 0, (4,), limit=10),),
    )


def _by_client(rows: Rows) -> Table:
    measures = Measures(rows)
    key = rows.c.client_key
    known = rows.query(func.max(rows.c.client), func.max(rows.c.uf), func.max(rows.c.day), *measures.columns).where(
        key.is_not(None)
    )
    ranked = known.group_by(key).order_by(func.coalesce(measures.revenue, 0).desc(), measures.orders.desc(), key)
    found = rows.all(ranked.limit(MOST_CLIENTS))
    nameless = whole(rows.one(rows.query(func.count()).where(key.is_(None)))[0])
    said = counted(nameless, "pedido sem cliente identificado não entra", "pedidos sem cliente identificado não entram")
    return Table(
        name="Clientes",
        title="Principais clientes",
        columns=(
            Column("Cliente", width=34),
            Column("UF", width=6),
            Column("Último pedido", "date", width=14),
            Column("Pedidos", "integer", width=10),
            Column("Vendas", "integer", width=10),
            Column("Receita", "money", width=16),
        ),
        rows=[
            (row[0] or UNNAMED, row[1], row[2], each.orders, each.sales, each.revenue)
            for row, each in ((row, Sums(*row[3:])) for row in found)
        ],
        pdf_rows=25,
        note=" ".join(
            [f"Os {MOST_CLIENTS} maiores por receita."] * (len(found) == MOST_CLIENTS) + [f"{said}."] * bool(nameless)
        ),
    )


def _by_utm(rows: Rows, sums: Sums) -> Table:
    found = measured(rows, rows.c.utm_source, rows.c.utm_medium, rows.c.utm_campaign)
    keyed = [((source, medium, campaign), each) for source, medium, campaign, each in found]
    shown = [
        (
            (*(part or "(sem UTM)" for part in key), *values_of(each))
            if isinstance(key, tuple)
            else (key, "", "", *values_of(each))
        )
        for key, each in topped(keyed, MOST_UTMS, sums, named=False)
    ]
    return Table(
        name="UTM",
        title="Vendas por origem (UTM)",
        columns=(
            Column("Origem", width=18),
            Column("Mídia", width=14),
            Column("Campanha", width=28),
            *PER_GROUP,
        ),
        rows=shown,
        total=("Total", "", "", *values_of(sums)),
    )


def _by_payment(rows: Rows, sums: Sums) -> Table:
    found = measured(rows, rows.c.payment_method)
    return Table(
        name="Pagamento",
        title="Vendas por forma de pagamento",
        columns=(Column("Forma de pagamento", width=24), *PER_GROUP),
        rows=[(name or UNNAMED, *values_of(each)) for name, each in found],
        total=("Total", *values_of(sums)),
    )


def state_name(state: str | None) -> str:
    return STATES.get(state or "unknown", state or STATES["unknown"])


def _listing(inquiry: Inquiry, rows: Rows, sums: Sums) -> Listing:
    columns = tuple(
        Column(
            SALES.columns[name].title,
            SALES.columns[name].kind,
            total=name in ("amount", "quantity"),
            width=width_of(SALES.columns[name]),
        )
        for name in LISTED
    )
    quantity = rows.one(rows.query(func.sum(rows.c.quantity)))[0] if inquiry.lists else None
    sum_of = {"amount": sums.amount, "quantity": whole_or_none(quantity)}
    when, state = LISTED.index("ordered_at"), LISTED.index("state")

    def stream() -> Iterator[Row]:
        query = rows.query(*(rows.c[name] for name in LISTED)).order_by(rows.c.ordered_at, rows.c.order_number)
        for row in rows.stream(query):
            values = list(row)
            values[when] = local(values[when]) if values[when] is not None else None
            values[state] = state_name(values[state])
            yield tuple(values)

    return Listing(
        name="Pedidos",
        title="Pedidos",
        columns=columns,
        count=sums.orders,
        rows=stream,
        total=("Total", *(sum_of.get(name) for name in LISTED[1:])),
    )

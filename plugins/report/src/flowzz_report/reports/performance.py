"""Performance: what ads cost beside what was sold; by day, by campaign, and every ad.

A sale belongs to the campaign whose id or name its ``utm_campaign`` is (``name|id`` is understood), whatever its case.
A name that several campaigns have belongs to none. Where one side's source is missing its figures are dashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, func

from flowzz.errors import Permanent
from flowzz_report.arithmetic import quotient, total, whole_or_none
from flowzz_report.document import Chart, Column, Document, Figure, Kind, Listing, Row, Table
from flowzz_report.reports.inquiry import Inquiry, missing
from flowzz_report.reports.measures import NOTHING, Sums, added_up, measured, sums_of
from flowzz_report.reports.sales import DAYS_IN_PDF
from flowzz_report.rows import Rows
from flowzz_report.topics import AD_PERFORMANCE, SALES, width_of

MOST_CAMPAIGNS = 500
UNMATCHED, UNNAMED = "Vendas sem campanha correspondente", "(sem nome)"


@dataclass(frozen=True, slots=True)
class Ads:
    """Ads of one group; None where nothing was told.

    A quotient is made of the rows that know both of its parts: ``cost_of_clicks`` is what those cost that count clicks,
    ``clicks_shown`` and ``shown`` are of those that know clicks and impressions.
    """

    spend: Decimal | None = None
    impressions: int | None = None
    clicks: int | None = None
    purchases: Decimal | None = None
    purchase_value: Decimal | None = None
    cost_of_clicks: Decimal | None = None
    clicks_shown: int | None = None
    shown: int | None = None

    @classmethod
    def of(cls, *sums: Any) -> Ads:
        """Of the sums in the order of the fields."""
        named: dict[str, Any] = dict(zip(FIELDS, sums, strict=True))
        named |= {name: whole_or_none(named[name]) for name in WHOLE}
        return cls(**named)

    @property
    def cpc(self) -> Decimal | None:
        return quotient(self.cost_of_clicks, self.clicks)

    @property
    def ctr(self) -> Decimal | None:
        return quotient(self.clicks_shown, self.shown)


FIELDS = tuple(Ads.__dataclass_fields__)
WHOLE = frozenset({"impressions", "clicks", "clicks_shown", "shown"})


def build(inquiry: Inquiry) -> Document:
    """Raises Permanent when neither ads nor sales have a source; with one of them the report says what it lacks."""
    if not inquiry.has(AD_PERFORMANCE) and not inquiry.has(SALES):
        raise Permanent(f"{missing(AD_PERFORMANCE)}; {missing(SALES)}")
    ads = inquiry.rows(AD_PERFORMANCE) if inquiry.has(AD_PERFORMANCE) else None
    sales = inquiry.rows(SALES) if inquiry.has(SALES) else None
    currency = inquiry.in_one_currency(ads, what="linhas") if ads else None
    currency = inquiry.in_one_currency(sales, currency, what="pedidos") if sales else currency
    _say_what_is_missing(inquiry, ads, sales)
    spent = Ads.of(*ads.one(ads.query(*_sums(ads)))) if ads else Ads()
    sold = sums_of(sales) if sales else None
    inquiry.progress(0.3, "totals")
    campaigns = _by_campaign(inquiry, ads, sales, spent, sold)
    inquiry.progress(0.6, "campaigns")
    days = _by_day(inquiry, ads, sales, spent, sold)
    inquiry.progress(0.9, "days")
    return Document(
        kind="performance",
        title="Relatório de desempenho",
        company=inquiry.company,
        period=inquiry.period,
        currency=currency or "BRL",
        generated_at=inquiry.generated_at,
        report_id=inquiry.report_id,
        figures=_figures(spent, sold),
        tables=(campaigns, days),
        listing=_listing(ads, spent) if ads else None,
        notices=tuple(inquiry.notices),
        filters=inquiry.described_filters,
        sources=inquiry.source_titles,
    )


def _say_what_is_missing(inquiry: Inquiry, ads: Rows | None, sales: Rows | None) -> None:
    for topic, rows, what in (
        (AD_PERFORMANCE, ads, "investimento, cliques, CPC, CTR e ROAS não podem ser calculados"),
        (SALES, sales, "receita e ROAS não podem ser calculados"),
    ):
        if rows is None:
            inquiry.notices.append(
                f"Nenhuma fonte de {topic.title.lower()} está instalada (por exemplo {topic.hint}): {what}."
            )


def _sums(ads: Rows) -> tuple[Any, ...]:
    c = ads.c
    told = ("spend", "impressions", "clicks", "purchases", "purchase_value")
    counted, both = c.clicks.is_not(None), and_(c.clicks.is_not(None), c.impressions.is_not(None))
    return (
        *(func.sum(c[name]) for name in told),
        func.sum(c.spend).filter(counted),
        func.sum(c.clicks).filter(both),
        func.sum(c.impressions).filter(both),
    )


def _figures(spent: Ads, sold: Sums | None) -> tuple[Figure, ...]:
    revenue = sold.revenue if sold else None
    sales = sold.sales if sold else None
    return (
        Figure("Investimento", spent.spend, "money", "em anúncios"),
        Figure("Receita", revenue, "money", "de todas as vendas do período"),
        Figure("ROAS", _ratio(quotient(revenue, spent.spend)), "text", "receita por real investido"),
        Figure("Custo por venda", quotient(spent.spend, sales), "money", "investimento por venda"),
        Figure("Cliques", spent.clicks, "integer", "em anúncios"),
        Figure("CPC", spent.cpc, "money", "custo por clique"),
        Figure("CTR", spent.ctr, "percent", "cliques por impressão"),
        Figure(
            "ROAS informado",
            _ratio(quotient(spent.purchase_value, spent.spend)),
            "text",
            "pelo que os anúncios dizem ter vendido",
        ),
    )


def _ratio(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.2f}×".replace(".", ",")


MEASURED: tuple[tuple[str, Kind, bool, int], ...] = (
    ("Investimento", "money", True, 16),
    ("Impressões", "integer", True, 12),
    ("Cliques", "integer", True, 10),
    ("CTR", "percent", False, 9),
    ("CPC", "money", False, 12),
    ("Vendas", "integer", True, 10),
    ("Receita", "money", True, 16),
    ("ROAS", "decimal", False, 9),
)
PER_GROUP = tuple(Column(title, kind, total=adds, width=width) for title, kind, adds, width in MEASURED)


def _values(ads: Ads, sold: Sums | None) -> Row:
    sales, revenue = (sold.sales, sold.revenue) if sold else (None, None)
    roas = quotient(revenue, ads.spend)
    return (ads.spend, ads.impressions, ads.clicks, ads.ctr, ads.cpc, sales, revenue, roas)


def _by_day(inquiry: Inquiry, ads: Rows | None, sales: Rows | None, spent: Ads, sold: Sums | None) -> Table:
    of_ads = (
        {row[0]: Ads.of(*row[1:]) for row in ads.all(ads.query(ads.c.day, *_sums(ads)).group_by(ads.c.day))}
        if ads
        else {}
    )
    of_sales = {row[0]: row[1] for row in measured(sales, sales.c.day)} if sales else {}
    days = inquiry.period.each_day()
    return Table(
        name="Por dia",
        title="Desempenho por dia",
        columns=(Column("Dia", "date", width=12), *PER_GROUP),
        rows=[(day, *_values(of_ads.get(day, Ads()), of_sales.get(day, NOTHING) if sales else None)) for day in days],
        total=("Total", *_values(spent, sold)),
        in_pdf=len(days) <= DAYS_IN_PDF,
        charts=(Chart("Investimento e receita por dia", "line", 0, (1, 7)),),
    )


def _by_campaign(inquiry: Inquiry, ads: Rows | None, sales: Rows | None, spent: Ads, sold: Sums | None) -> Table:
    campaigns = _campaigns(ads) if ads else []
    matched, rest, unclear = _matched(sales, [(key, name) for key, name, _ in campaigns])
    if unclear:
        inquiry.notices.append(
            f"{unclear} nome(s) de campanha pertencem a mais de uma campanha; as vendas deles não foram atribuídas."
        )
    rows: list[Row] = [
        (name or UNNAMED, *_values(each, matched.get(at, NOTHING) if sales else None))
        for at, (_, name, each) in enumerate(campaigns[:MOST_CAMPAIGNS])
    ]
    if left := campaigns[MOST_CAMPAIGNS:]:
        others = added_up(matched.get(at, NOTHING) for at in range(MOST_CAMPAIGNS, len(campaigns)))
        rows.append(
            (f"Outras ({len(left)})", *_values(_all_of([each for _, _, each in left]), others if sales else None))
        )
    if sales and rest.orders:
        rows.append((UNMATCHED, *_values(Ads(), rest)))
    return Table(
        name="Campanhas",
        title="Desempenho por campanha",
        columns=(Column("Campanha", width=38), *PER_GROUP),
        rows=rows,
        total=("Total", *_values(spent, sold)),
        note="Vendas e receita vêm dos pedidos cujo utm_campaign é o nome ou o ID da campanha.",
        charts=(
            Chart("Investimento por campanha", "bars", 0, (1,), limit=10),
            Chart("Receita por campanha", "bars", 0, (7,), limit=10),
        ),
    )


def _campaigns(ads: Rows) -> list[tuple[str | None, str | None, Ads]]:
    """Id, newest name and sums of each, the most expensive first."""
    c = ads.c
    query = ads.query(c.campaign_id, func.max(c.campaign), *_sums(ads)).group_by(c.campaign_id)
    found = [(row[0], row[1], Ads.of(*row[2:])) for row in ads.all(query)]
    return sorted(found, key=lambda one: (-(one[2].spend or 0), str(one[1]), str(one[0])))


def _matched(
    sales: Rows | None, campaigns: Sequence[tuple[str | None, str | None]]
) -> tuple[dict[int, Sums], Sums, int]:
    """Sums by the campaign's place, the sums of all other sales, and how many names are not one campaign's."""
    if sales is None:
        return {}, NOTHING, 0
    by_id = {key: at for at, (key, _) in enumerate(campaigns) if key}
    by_name: dict[str, list[int]] = {}
    for at, (_, name) in enumerate(campaigns):
        if name:
            by_name.setdefault(_folded(name), []).append(at)
    found: dict[int, list[Sums]] = {}
    rest: list[Sums] = []
    unclear = set()
    for utm, each in measured(sales, sales.c.utm_campaign):
        name, _, last = str(utm or "").rpartition("|")
        places = by_name.get(_folded(utm or ""), []) or by_name.get(_folded(name), []) if utm else []
        place = by_id.get(utm) if utm in by_id else by_id.get(last.strip())
        if place is None and len(places) == 1:
            place = places[0]
        unclear |= {_folded(str(utm))} if place is None and len(places) > 1 else set()
        (rest if place is None else found.setdefault(place, [])).append(each)
    return {at: added_up(parts) for at, parts in found.items()}, added_up(rest) if rest else NOTHING, len(unclear)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _all_of(parts: Sequence[Ads]) -> Ads:
    return Ads(*(total(getattr(each, name) for each in parts) for name in FIELDS))


LISTED = (
    "date",
    "account",
    "campaign",
    "ad_set",
    "ad",
    "spend",
    "impressions",
    "clicks",
    "reach",
    "purchases",
    "purchase_value",
)
SUMMED = ("spend", "impressions", "clicks", "purchases", "purchase_value")


def _listing(ads: Rows, spent: Ads) -> Listing:
    count = int(ads.one(ads.query(func.count()))[0])
    columns = tuple(
        Column(
            AD_PERFORMANCE.columns[name].title,
            AD_PERFORMANCE.columns[name].kind,
            total=name in SUMMED,
            width=width_of(AD_PERFORMANCE.columns[name]),
        )
        for name in LISTED
    )

    def stream() -> Iterator[Row]:
        c = ads.c
        yield from ads.stream(ads.query(*(c[name] for name in LISTED)).order_by(c.date, c.campaign, c.ad_id))

    sums = {name: getattr(spent, name) for name in SUMMED}
    return Listing(
        name="Anúncios",
        title="Anúncios por dia",
        columns=columns,
        count=count,
        rows=stream,
        total=("Total", *(sums.get(name) for name in LISTED[1:])),
    )

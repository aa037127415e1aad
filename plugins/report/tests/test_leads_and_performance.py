"""Leads and performance: held against what the rows say, on both databases."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import load_workbook

from flowzz.errors import Permanent
from support import market
from support.market import ad, order


def book_of(desk: Any, **wanted: Any) -> Any:
    return load_workbook(desk.file(desk.ask(**wanted)), data_only=True)


def rows_of(book: Any, name: str) -> list[tuple[Any, ...]]:
    return list(book[name].iter_rows(values_only=True))


def figures(book: Any) -> dict[str, Any]:
    return {row[0]: row[1] for row in rows_of(book, "Resumo") if row[0]}


def visits(desk: Any) -> None:
    desk.stock(
        [
            order(1, "2024-05-01", client_key="ana", uf="RJ"),
            order(2, "2026-03-01T00:00", client_key="ana", uf="RJ", utm_source="google"),
            order(3, "2026-03-05", client_key="bia", uf="SP", utm_source="facebook"),
            order(4, "2026-03-06", client_key="bia", uf="SP", amount=Decimal("50.5")),
            order(5, "2026-03-06", client_key="caio", uf=None, counts=False, state="open"),
            order(6, "2026-03-07", client_key=None),
            order(7, "2026-04-01", client_key="duda"),
        ]
    )


def test_new_is_whose_first_order_ever_lies_in_the_period(each_desk: Any) -> None:
    visits(each_desk)

    book = book_of(each_desk, reportType="leads")

    said = figures(book)
    assert (said["Clientes"], said["Novos"], said["Recorrentes"]) == (3, 2, 1)
    assert said["Clientes novos"] == pytest.approx(2 / 3, abs=1e-6)
    assert said["Receita por cliente"] == pytest.approx(250.5 / 3, abs=1e-6)
    assert any("1 pedido não identifica o cliente" in str(label) for label in said)


def test_clients_add_up_by_state_origin_and_day(each_desk: Any) -> None:
    visits(each_desk)

    book = book_of(each_desk, reportType="leads")

    assert rows_of(book, "UF")[1:] == [
        ("(sem UF)", 1, 1, 0, 1, 0),
        ("RJ", 1, 0, 1, 1, 100),
        ("SP", 1, 1, 0, 2, 150.5),
        ("Total", 3, 2, 1, 4, 250.5),
    ]
    assert {row[0]: row[1] for row in rows_of(book, "Origem")[1:]} == {
        "google": 1,
        "facebook": 1,
        "(sem UTM)": 1,
        "Total": 3,
    }
    days = rows_of(book, "Por dia")[1:]
    assert [(row[0].day, row[1]) for row in days[:-1] if row[1]] == [(1, 1), (5, 1), (6, 1)]
    clients = rows_of(book, "Clientes")[1:]
    assert [(row[0], row[4], row[5], row[7]) for row in clients] == [
        ("Cliente 4", True, 2, 150.5),
        ("Cliente 2", False, 1, 100),
        ("Cliente 5", True, 1, 0),
        ("Total", None, 4, 250.5),
    ]


def test_a_filter_does_not_make_a_client_new(each_desk: Any) -> None:
    visits(each_desk)

    said = figures(book_of(each_desk, reportType="leads", filters={"utmSource": "google"}))

    assert (said["Clientes"], said["Novos"], said["Recorrentes"]) == (1, 0, 1)


def campaign(desk: Any) -> None:
    told = {"spend": Decimal("40.00"), "impressions": 1000, "clicks": 20, "purchases": Decimal(1)}
    desk.stock(
        [
            ad("2026-03-02", "Verão", **told, purchase_value=Decimal("90.00")),
            ad("2026-03-03", "Verão", spend=Decimal("10.00"), impressions=500, clicks=None),
            ad("2026-03-03", "Marca", spend=Decimal("5.50"), impressions=None, clicks=5),
            ad("2026-04-01", "Verão", spend=Decimal("999.00")),
        ],
        market.ads,
    )
    desk.stock(
        [
            order(1, "2026-03-02", utm_campaign="verão "),
            order(2, "2026-03-03", utm_campaign="id-Verão", amount=Decimal("11.00")),
            order(3, "2026-03-03", utm_campaign="qualquer|id-Marca", amount=Decimal("22.00")),
            order(4, "2026-03-04", utm_campaign="outra", amount=Decimal("7.00")),
            order(5, "2026-03-04", utm_campaign="Verão", counts=False),
        ]
    )


def test_ads_and_sales_meet_by_day_and_by_campaign(each_desk: Any) -> None:
    campaign(each_desk)

    book = book_of(each_desk, reportType="performance")

    said = figures(book)
    assert (said["Investimento"], said["Receita"], said["Cliques"]) == (55.5, 140, 25)
    assert said["ROAS"] == "2,52×"
    assert said["ROAS informado"] == "1,62×"
    assert said["Custo por venda"] == pytest.approx(55.5 / 4)
    # Only rows that know both parts: clicks cost 45.50, and 20 of 1,000 impressions with clicks told were clicked.
    assert said["CPC"] == pytest.approx(45.5 / 25)
    assert said["CTR"] == pytest.approx(0.02)
    campaigns = {row[0]: row[1:] for row in rows_of(book, "Campanhas") if row[0]}
    assert campaigns["Verão"] == (50, 1500, 20, 0.02, 2, 2, 111, pytest.approx(2.22))
    assert campaigns["Marca"] == (5.5, None, 5, None, 1.1, 1, 22, 4)
    assert campaigns["Vendas sem campanha correspondente"] == (None, None, None, None, None, 1, 7, None)
    assert campaigns["Total"][5:7] == (4, 140)
    days = {row[0].day: row[1:] for row in rows_of(book, "Por dia")[1:-1]}
    assert days[3][0] == 15.5
    assert days[4] == (None, None, None, None, None, 1, 7, None)
    listed = rows_of(book, "Anúncios")
    assert len(listed) == 5
    assert listed[-1][5] == 55.5


def test_a_name_that_two_campaigns_have_belongs_to_none(each_desk: Any) -> None:
    each_desk.stock(
        [ad("2026-03-02", "Verão", spend=Decimal(1)), ad("2026-03-02", "Verão", campaign_id="other", spend=Decimal(2))],
        market.ads,
    )
    each_desk.stock([order(1, "2026-03-02", utm_campaign="Verão")])

    book = book_of(each_desk, reportType="performance")

    assert [row[6] for row in rows_of(book, "Campanhas") if row[0] == "Verão"] == [0, 0]
    assert any("pertencem a mais de uma campanha" in str(label) for label in figures(book))


@pytest.mark.parametrize(
    ("source", "known", "unknown", "said"),
    [
        (market.ADS, "Investimento", "Receita", "Nenhuma fonte de vendas está instalada (por exemplo flowzz-coinzz)"),
        (market.SALES, "Receita", "Investimento", "Nenhuma fonte de anúncios está instalada"),
    ],
    ids=["no sales", "no ads"],
)
def test_a_missing_side_is_dashes_and_said(desk: Any, source: Any, known: str, unknown: str, said: str) -> None:
    campaign(desk)
    desk.host.sources = (source,)

    book = book_of(desk, reportType="performance")

    told = figures(book)
    assert isinstance(told[known], float | int)
    assert told[unknown] == told["ROAS"] == "—"
    assert any(said in str(label) for label in told)
    assert any(said in line for line in desk.recorder.lines)
    assert any("no installed plugin offers the topic" in line for line in desk.recorder.lines)
    column = {"Receita": 7, "Investimento": 1}[unknown]
    assert {row[column] for row in rows_of(book, "Por dia")[1:]} == {None}


def test_with_neither_side_there_is_no_report(desk: Any) -> None:
    desk.host.sources = ()
    with pytest.raises(Permanent, match=r"'ad_performance'.*'sales'"):
        desk.ask(reportType="performance")


def test_performance_without_ads_is_a_csv_of_campaigns(desk: Any) -> None:
    campaign(desk)
    desk.host.sources = (market.SALES,)
    raw = desk.file(desk.ask(reportType="performance", format="csv")).read_text("utf-8-sig")
    rows = list(csv.reader(raw.splitlines(), delimiter=";"))
    assert rows[1][0] == "Vendas sem campanha correspondente"


def test_a_source_that_lacks_a_column_is_named(desk: Any) -> None:
    broken = market.source("broken", "sales", "Broken", market.select_ads)
    desk.host.sources = (broken,)
    with pytest.raises(Permanent, match=r"the data source market.broken lacks the column 'order_number'"):
        desk.ask()


def test_two_sources_of_one_topic_are_one(each_desk: Any) -> None:
    each_desk.stock([order(1, "2026-03-02"), order(2, "2026-03-03")])
    each_desk.host.sources = (market.SALES, market.source("again", "sales", "Again", market.select_sales))

    said = figures(book_of(each_desk))

    assert (said["Pedidos"], said["Receita"], said["Clientes"]) == (4, 400, 2)

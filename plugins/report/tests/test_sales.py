"""A sales report says what the rows say: its figures are held against sums of our own, on both databases."""

from __future__ import annotations

import csv
import random
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import load_workbook

from flowzz.errors import Permanent
from support.market import order
from support.pages import text_of

STATES = [("Aprovado", "paid", True), ("Aguardando", "open", False), ("Cancelado", "canceled", False)]
PRODUCTS = ["Kit", "Creme", "Sérum", None]


def orders(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Orders of March 2026 and of the days around it, with gaps as real ones have."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        status, state, counts = chance.choice(STATES)
        day = f"2026-{chance.choice(['02-27', '03-01', '03-02', '03-15', '03-31', '04-01'])}"
        values = {
            "status": status,
            "state": state,
            "counts": counts,
            "amount": chance.choice([Decimal(chance.randrange(1, 100_000)).scaleb(-2), Decimal("0.1"), None]),
            "quantity": chance.choice([1, 2, 3, None]),
            "product": chance.choice(PRODUCTS),
            "client_key": chance.choice([None, *map(str, range(20))]),
            "utm_source": chance.choice(["facebook", "google", None]),
            "utm_campaign": chance.choice(["verão", None]),
        }
        made.append(order(number, f"{day}T{chance.choice(['00:00', '12:30', '23:59'])}", **values))
    return made


def in_march(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["ordered_at"].month == 3]


def revenue(rows: list[dict[str, Any]]) -> Decimal:
    return sum((row["amount"] or Decimal(0) for row in rows if row["counts"]), Decimal(0))


def sheet_rows(book: Any, name: str) -> list[tuple[Any, ...]]:
    return list(book[name].iter_rows(values_only=True))


def cents(value: Any) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.0001"))


def figures(book: Any) -> dict[str, Any]:
    return {row[0]: row[1] for row in sheet_rows(book, "Resumo") if row[0]}


def test_every_figure_equals_the_rows_on_both_databases(each_desk: Any) -> None:
    rows = orders(400)
    each_desk.stock(rows)

    book = load_workbook(each_desk.file(each_desk.ask()), data_only=True)

    march = in_march(rows)
    sold = [row for row in march if row["counts"]]
    priced = [row for row in sold if row["amount"] is not None]
    said = figures(book)
    assert cents(said["Receita"]) == revenue(march)
    assert (said["Vendas"], said["Pedidos"]) == (len(sold), len(march))
    assert cents(said["Ticket médio"]) == (revenue(march) / len(priced)).quantize(Decimal("0.0001"))
    assert said["Clientes"] == len({row["client_key"] for row in march} - {None})
    _days(book, march)
    _groups(book, march)
    _listed(book, march)


def _days(book: Any, march: list[dict[str, Any]]) -> None:
    header, *days = sheet_rows(book, "Por dia")
    assert header[:4] == ("Dia", "Pedidos", "Vendas", "Receita")
    assert len(days) == 32
    counted = Counter(row["ordered_at"].date() for row in march)
    for day, count, _sales, money, _ticket in days[:31]:
        of_day = [row for row in march if row["ordered_at"].date() == day.date()]
        assert count == counted[day.date()]
        assert cents(money) == revenue(of_day)
    assert days[31][0] == "Total"
    assert (days[31][1], cents(days[31][3])) == (len(march), revenue(march))


def _groups(book: Any, march: list[dict[str, Any]]) -> None:
    states = {row[0]: row[1] for row in sheet_rows(book, "Situação")[1:-1]}
    assert states == {
        "Pago": sum(row["state"] == "paid" for row in march),
        "Em aberto": sum(row["state"] == "open" for row in march),
        "Cancelado": sum(row["state"] == "canceled" for row in march),
    }
    products = {row[0]: cents(row[4]) for row in sheet_rows(book, "Produtos")[1:-1]}
    assert products == {
        name or "(não informado)": revenue([row for row in march if row["product"] == name]) for name in PRODUCTS
    }
    utms = sheet_rows(book, "UTM")
    assert cents(utms[-1][5]) == revenue(march) == sum(cents(row[5]) for row in utms[1:-1])
    clients = sheet_rows(book, "Clientes")[1:21]
    assert sum(row[3] for row in clients) == sum(row["client_key"] is not None for row in march)


def _listed(book: Any, march: list[dict[str, Any]]) -> None:
    sheet = book["Pedidos"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:P{len(march) + 1}"
    header, *rows, total = sheet_rows(book, "Pedidos")
    assert header[:5] == ("Pedido", "Data", "Status", "Situação", "Valor")
    assert len(rows) == len(march)
    wanted = {row["order_number"]: row for row in march}
    for row in rows:
        assert row[1] == wanted[row[0]]["ordered_at"].replace(tzinfo=None)
        assert (row[4] is None) == (wanted[row[0]]["amount"] is None)
    assert cents(total[4]) == sum(row["amount"] or 0 for row in march)
    assert total[5] == sum(row["quantity"] or 0 for row in march)


def test_a_csv_has_every_order_with_a_byte_order_mark_and_a_decimal_comma(desk: Any) -> None:
    desk.stock([order(1, "2026-03-05T23:59", amount=Decimal("1234.5")), order(2, "2026-03-06", amount=None)])

    raw = desk.file(desk.ask(format="csv")).read_bytes()

    assert raw.startswith(b"\xef\xbb\xbfPedido;Data;")
    header, first, second = csv.reader(raw.decode("utf-8-sig").splitlines(), delimiter=";")
    assert dict(zip(header, first, strict=True))["Valor"] == "1234,5000"
    assert dict(zip(header, first, strict=True))["Data"] == "2026-03-05 23:59:00"
    assert dict(zip(header, second, strict=True))["Valor"] == ""


def test_a_csv_may_have_no_mark_and_a_point(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWZZ_REPORT_CSV_BOM", "false")
    monkeypatch.setenv("FLOWZZ_REPORT_CSV_SEPARATOR", ",")
    desk.stock([order(1, "2026-03-05", amount=Decimal("1234.5"))])

    text = desk.file(desk.ask(format="csv")).read_text("utf-8")

    assert text.startswith("Pedido,Data,")
    assert ",1234.5000," in text


def test_a_day_is_a_day_of_sao_paulo_also_where_clocks_changed(each_desk: Any) -> None:
    # Summer time ended on 2018-02-18 at midnight, which came twice: UTC-2 before, UTC-3 after.
    stamps = ["2018-02-17T00:30", "2018-02-17T22:59", "2018-02-18T00:30", "2018-02-18T23:30"]
    each_desk.stock([order(number, stamp) for number, stamp in enumerate(stamps)])

    made = each_desk.ask(startDate="2018-02-16", endDate="2018-02-19")

    days = sheet_rows(load_workbook(each_desk.file(made), data_only=True), "Por dia")[1:-1]
    assert [(day[0].date(), day[1]) for day in days] == [
        (date(2018, 2, 16), 0),
        (date(2018, 2, 17), 2),
        (date(2018, 2, 18), 2),
        (date(2018, 2, 19), 0),
    ]


def test_a_long_period_is_also_told_by_month(each_desk: Any) -> None:
    each_desk.stock([order(1, "2025-12-31T23:30"), order(2, "2026-01-01T00:10"), order(3, "2026-03-31")])

    made = each_desk.ask(startDate="2025-12-01", endDate="2026-03-31")

    months = sheet_rows(load_workbook(each_desk.file(made), data_only=True), "Por mês")[1:-1]
    assert [(f"{row[0]:%Y-%m}", row[1]) for row in months] == [
        ("2025-12", 1),
        ("2026-01", 1),
        ("2026-02", 0),
        ("2026-03", 1),
    ]


def test_the_chart_of_a_long_period_shows_its_last_days_too(each_desk: Any) -> None:
    each_desk.stock([order(1, "2026-03-31")])
    asked = {"startDate": "2023-04-01", "endDate": "2026-03-31"}

    sheet = load_workbook(each_desk.file(each_desk.ask(**asked)), data_only=True)["Resumo"]

    (series,) = sheet._charts[0].series
    assert series.val.numRef.f == "'Por dia'!$D$2:$D$1097"
    page = text_of(each_desk.file(each_desk.ask("job-2", format="pdf", **asked)))
    assert "Receita por dia" in page
    assert "Sem dados no período" not in page


def test_amounts_in_another_currency_are_left_out_and_it_says_so(each_desk: Any) -> None:
    each_desk.stock(
        [order(1, "2026-03-05"), order(2, "2026-03-05", currency=None), order(3, "2026-03-05", currency="USD")]
    )

    made = each_desk.ask()

    book = load_workbook(each_desk.file(made), data_only=True)
    assert figures(book)["Receita"] == 200
    notice = "1 pedido em USD ficou de fora: este relatório é em BRL."
    assert f"Atenção: {notice}" in figures(book)
    assert notice in each_desk.recorder.lines


def test_sales_without_an_amount_are_said_and_not_taken_for_zero(each_desk: Any) -> None:
    each_desk.stock([order(1, "2026-03-05", amount=None)])

    book = load_workbook(each_desk.file(each_desk.ask()), data_only=True)

    assert figures(book)["Vendas"] == 1
    assert figures(book)["Receita"] == figures(book)["Ticket médio"] == "—"
    assert any("1 venda não tem valor informado" in str(label) for label in figures(book))


def test_an_empty_period_is_zero_sales_and_no_average(each_desk: Any) -> None:
    book = load_workbook(each_desk.file(each_desk.ask()), data_only=True)

    said = figures(book)
    assert (said["Receita"], said["Vendas"], said["Ticket médio"]) == (0, 0, "—")
    assert len(sheet_rows(book, "Pedidos")) == 2


def test_without_a_source_nothing_is_made_up(desk: Any) -> None:
    desk.host.sources = ()

    with pytest.raises(Permanent, match=r"no installed plugin offers the topic 'sales'.*flowzz-coinzz"):
        desk.ask()

    assert any("no installed plugin offers the topic 'sales'" in line for line in desk.recorder.lines)
    assert desk.left() == []
    assert "flowzz-coinzz" in desk.rows()[0].problem


def test_the_same_days_before_are_compared_with(each_desk: Any) -> None:
    each_desk.stock([order(1, "2026-03-05"), order(2, "2026-02-05", amount=Decimal(80))])

    book = load_workbook(each_desk.file(each_desk.ask(startDate="2026-03-01", endDate="2026-03-31")), data_only=True)

    notes = {row[0]: row[2] for row in sheet_rows(book, "Resumo") if row[0]}
    assert notes["Receita"] == "+25,0\u00a0% ante o período anterior"


def test_progress_goes_up_to_a_hundred_in_steps(desk: Any) -> None:
    desk.stock([order(number, "2026-03-05") for number in range(1_500)])

    desk.ask()

    percents = [percent for percent, _ in desk.recorder.progressed]
    assert percents == sorted(percents)
    assert percents[0] < 5
    assert percents[-1] == 100
    assert len(percents) > 10
    assert any(40 < percent < 91 for percent in percents)

"""The files themselves: formulas and markup of strangers stay text, long things fit, and pages say what they should."""

from __future__ import annotations

import csv
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from flowzz_report.writers.charts_pdf import scale, short
from support.market import order
from support.pages import text_of

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", '=HYPERLINK("http://evil","x")']
HOSTILE = [
    '#eval("1")',
    "#{ panic() }",
    "*bold* _it_ $x^2$ `code` <label> @ref",
    "// comment /* block",
    "\\ \" ' ] ) }",
    "nul\x00bell\x07\ud800",
    "<script>alert(1)</script>&amp;",
    '#image("/etc/passwd")',
]


def pages_of(path: Path) -> int:
    done = subprocess.run(["pdfinfo", path], capture_output=True, text=True, check=True)
    return int(done.stdout.partition("Pages:")[2].split()[0])


def test_formulas_of_strangers_are_text(desk: Any) -> None:
    desk.stock([order(number, "2026-03-05", product=text, client=text) for number, text in enumerate(FORMULAS)])

    book = load_workbook(desk.file(desk.ask()))
    raw = desk.file(desk.ask("job-2", format="csv")).read_bytes().decode("utf-8-sig")

    products = [row[6] for row in book["Pedidos"].iter_rows(min_row=2, max_row=len(FORMULAS) + 1)]
    assert {cell.data_type for cell in products} == {"s"}
    assert all(cell.quotePrefix for cell in products)
    # A carriage return stands as _x000D_ in the file (ECMA-376, ST_Xstring), which openpyxl leaves as it is.
    assert [cell.value.replace("_x000D_", "\r").strip() for cell in products] == [text.strip() for text in FORMULAS]
    assert {cell.data_type for cell in book["Produtos"]["A"]} == {"s"}
    lines = list(csv.DictReader(raw.splitlines(keepends=True), delimiter=";"))
    assert [line["Produto"] for line in lines] == [f"'{text}" for text in FORMULAS]


def test_hostile_text_is_only_text(desk: Any) -> None:
    desk.store.add_company('Loja #eval("x") *', "hostile")
    desk.company_id = "hostile"
    desk.stock(
        [
            order(number, "2026-03-05", product=text.replace("\ud800", ""), client=text.replace("\ud800", ""))
            for number, text in enumerate(HOSTILE)
        ]
    )

    text = text_of(desk.file(desk.ask(format="pdf", filters={"product": {"not": "#{ panic() } $"}})))
    book = load_workbook(desk.file(desk.ask("job-2")))

    assert 'Loja #eval("x") *' in text
    for said in ('#eval("1")', "#{ panic() }", "*bold* _it_ $x^2$ `code` <label> @ref", "<script>alert(1)</script>"):
        assert said in text.replace("\u200b", ""), said
    assert "root:" not in text
    assert [sheet.title for sheet in book][:3] == ["Resumo", "Por dia", "Situação"]


def test_very_long_names_stay_on_the_page(desk: Any) -> None:
    desk.stock(
        [
            order(1, "2026-03-05", product="A" * 5_000, client="Maria " * 400, uf="SP"),
            order(2, "2026-03-05", product="Nome de produto muito longo e com muitas palavras " * 5),
        ]
    )

    path = desk.file(desk.ask(format="pdf"))

    assert pages_of(path) <= 4
    boxes = subprocess.run(["pdftotext", "-bbox", path, "-"], capture_output=True, text=True, check=True).stdout
    edges = [float(part.partition('"')[0]) for part in boxes.split('xMax="')[1:]]
    assert edges
    assert max(edges) <= 595.3 - 40, "something reaches into the margin"
    assert len(load_workbook(desk.file(desk.ask("job-2")))["Pedidos"]["G2"].value) == 5_000


def test_a_page_says_figures_period_and_number(desk: Any) -> None:
    desk.stock([order(number, f"2026-03-{1 + number % 31:02}", amount=Decimal(number)) for number in range(1, 400)])

    text = text_of(desk.file(desk.ask(format="pdf")))

    assert "Relatório de vendas" in text
    assert "01/03/2026 a 31/03/2026 (31 dias)" in text
    assert "R$ 79.800,00" in text
    assert "R$ 200,00" in text
    assert f"1/{pages_of(desk.file(desk.ask(format='pdf')))}" in text.replace(" ", "")
    assert text.count("Ticket médio") >= 3, "the header of a table comes again on its next page"


def test_rows_that_a_page_has_no_room_for_are_counted(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWZZ_REPORT_PDF_ROWS", "10")
    desk.stock([order(number, "2026-03-05") for number in range(25)])
    asked = {"reportType": "custom", "format": "pdf", "filters": {"columns": ["orderNumber", "amount"]}}
    text = text_of(desk.file(desk.ask(**asked)))
    assert "15 linhas não cabem aqui; a planilha (XLSX ou CSV) tem todas, e o total as inclui." in text
    assert "R$ 2.500,00" in text


@pytest.mark.parametrize(
    ("most", "top"), [(0, 0), (1, 1), (3, 4), (4, 4), (7, 8), (9, 10), (14_159.2, 20_000), (0.03, 0.04), (1e9, 1e9)]
)
def test_scales_are_round(most: float, top: float) -> None:
    assert scale(most) == pytest.approx(top)


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [(0, "integer", "0"), (12_500, "money", "R$ 12,5 mil"), (2_000_000, "integer", "2 mi"), (0.75, "decimal", "0,75")],
)
def test_numbers_on_an_axis_are_short(value: float, kind: str, said: str) -> None:
    assert short(value, kind, "BRL").replace("\u00a0", " ") == said

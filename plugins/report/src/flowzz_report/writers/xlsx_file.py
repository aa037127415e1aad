"""XLSX: a summary with figures and charts, a sheet a table, and every row; written row by row, in constant memory.

Cells are typed: numbers are numbers, days are days, and text is text even when it begins with ``=``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from flowzz_report import wording
from flowzz_report.document import Column, Document, Figure, Row
from flowzz_report.writers.charts_xlsx import add_charts
from flowzz_report.writers.texts import clean, is_plain, looks_like_formula

SUMMARY = "Resumo"
INK, MUTED, ACCENT, PAPER, RULE = "#16202e", "#64748b", "#0b6b63", "#f1f5f4", "#cbd5d1"
FONT = {"font_name": "Calibri", "font_size": 11, "font_color": INK, "valign": "vcenter"}
WIDEST = 60
SUBTOTAL_OF_SHOWN = 109
"""Excel's code for a sum that leaves out rows a filter hides."""


class Styles:
    """The formats of one workbook, made when first asked for; a workbook must not have one a cell."""

    def __init__(self, book: xlsxwriter.Workbook, currency: str) -> None:
        self._book = book
        self._made: dict[tuple[tuple[str, Any], ...], Format] = {}
        self._numbers = {
            "integer": "#,##0",
            "decimal": "#,##0.00",
            "money": f'"{wording.symbol(currency)}" #,##0.00;[Red]-"{wording.symbol(currency)}" #,##0.00',
            "percent": "0.0%",
            "date": "dd/mm/yyyy",
            "month": "mm/yyyy",
            "datetime": "dd/mm/yyyy hh:mm",
        }

    def of(self, kind: str = "text", **more: Any) -> Format:
        wanted = {**FONT, **({"num_format": self._numbers[kind]} if kind in self._numbers else {}), **more}
        key = tuple(sorted(wanted.items()))
        if key not in self._made:
            made = self._book.add_format({name: value for name, value in wanted.items() if name != "quoted"})
            made.set_quote_prefix(bool(wanted.get("quoted")))
            self._made[key] = made
        return self._made[key]

    def head(self, kind: str) -> Format:
        side = "left" if kind in ("text", "boolean", "date", "month", "datetime") else "right"
        return self.of("text", bold=True, font_color="#ffffff", bg_color=ACCENT, align=side, text_wrap=True)

    def total(self, kind: str) -> Format:
        return self.of(kind, bold=True, top=1, top_color=ACCENT, bg_color=PAPER)


def write_xlsx(document: Document, path: Path, scratch: Path, wrote: Callable[[int], None]) -> None:
    """``scratch`` is a folder for the sheets' parts; ``wrote`` is told of the number of rows listed now and then."""
    options = {"constant_memory": True, "tmpdir": str(scratch), "default_date_format": "dd/mm/yyyy"}
    book = xlsxwriter.Workbook(str(path), options)
    try:
        _fill(book, document, wrote)
    except BaseException:
        # Not by ``with``: that would pack a whole file of what is there, which takes seconds a cancel does not have.
        for sheet in book.worksheets():
            sheet.row_data_fh.close()
        raise
    book.close()


def _fill(book: xlsxwriter.Workbook, document: Document, wrote: Callable[[int], None]) -> None:
    styles = Styles(book, document.currency)
    book.set_properties({"title": document.title, "company": document.company, "created": document.generated_at})
    summary = book.add_worksheet(SUMMARY)
    for table in document.tables:
        _table(book.add_worksheet(table.name), styles, table.columns, table.rows, table.total, table.note)
    listing = document.listing
    if listing is not None:
        rows = _told(listing.rows(), wrote)
        _table(book.add_worksheet(listing.name), styles, listing.columns, rows, listing.total)
    last = _summary(summary, styles, document)
    add_charts(book, summary, last + 2, document.tables)
    summary.activate()


def _told(rows: Iterable[Row], wrote: Callable[[int], None]) -> Iterable[Row]:
    for at, row in enumerate(rows, 1):
        yield row
        wrote(at)


def _table(
    sheet: Worksheet, styles: Styles, columns: Sequence[Column], rows: Iterable[Row], total: Row | None, note: str = ""
) -> None:
    """A header that stays, a filter over every column, the rows, and a total of what the filter shows."""
    for at, column in enumerate(columns):
        sheet.set_column(at, at, min(max(column.width, len(column.title) + 3), WIDEST))
    sheet.set_row(0, 22)
    for at, column in enumerate(columns):
        sheet.write_string(0, at, column.title, styles.head(column.kind))
    write = [_writer(sheet, styles, column.kind) for column in columns]
    last = 0
    for last, row in enumerate(rows, 1):
        for at, value in enumerate(row):
            if value is not None:
                write[at](last, at, value)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(last, 1), len(columns) - 1)
    if total is not None:
        _total(sheet, styles, columns, total, last)
    if note:
        sheet.write_string(last + (3 if total is not None else 2), 0, note, styles.of(font_color=MUTED, italic=True))
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)


def _total(sheet: Worksheet, styles: Styles, columns: Sequence[Column], total: Row, last: int) -> None:
    """Below the rows, one apart, so that a filter or a sort leaves it alone."""
    row = last + 1
    for at, (column, value) in enumerate(zip(columns, total, strict=True)):
        style = styles.total("text" if isinstance(value, str) else column.kind)
        if column.total and last and value is not None:
            name = xl_col_to_name(at)
            formula = f"=SUBTOTAL({SUBTOTAL_OF_SHOWN},{name}2:{name}{last + 1})"
            sheet.write_formula(row, at, formula, style, float(value))
        elif isinstance(value, str):
            sheet.write_string(row, at, value, style)
        elif value is None:
            sheet.write_blank(row, at, None, style)
        else:
            sheet.write_number(row, at, float(value), style)


def _writer(sheet: Worksheet, styles: Styles, kind: str) -> Callable[[int, int, Any], Any]:
    """How values of a column are written; the formats are looked up once, not once a cell."""
    plain, quoted = styles.of(kind), styles.of(kind, quoted=True)
    if kind in ("integer", "decimal", "money", "percent"):
        return lambda row, at, value: sheet.write_number(row, at, float(value), plain)
    if kind == "datetime":
        return lambda row, at, value: sheet.write_datetime(row, at, value, plain)
    if kind in ("date", "month"):
        return lambda row, at, value: (
            sheet.write_string(row, at, value, plain)
            if isinstance(value, str)
            else sheet.write_datetime(row, at, datetime(value.year, value.month, value.day), plain)  # noqa: DTZ001
        )
    if kind == "boolean":
        return lambda row, at, value: sheet.write_boolean(row, at, value, plain)

    def text(row: int, at: int, value: Any) -> None:
        said = str(value)
        if is_plain(said):  # nearly always, and a tenth of the work
            sheet.write_string(row, at, said, plain)
            return
        cleaned = clean(said)
        sheet.write_string(row, at, cleaned, quoted if looks_like_formula(cleaned) else plain)

    return text


def _summary(sheet: Worksheet, styles: Styles, document: Document) -> int:
    """The first sheet: what it is about, the figures, and what must be known; the last row used."""
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 1, 24)
    sheet.set_column(2, 2, 46)
    sheet.set_row(0, 30)
    sheet.write_string(0, 0, document.title, styles.of(bold=True, font_size=18, font_color=ACCENT))
    facts = [
        ("Empresa", document.company),
        ("Período", f"{wording.day(document.period.first)} a {wording.day(document.period.last)}"),
        ("Gerado em", wording.moment(document.generated_at)),
        ("Fontes", ", ".join(document.sources) or wording.DASH),
        *(("Filtro", said) for said in document.filters),
    ]
    row = 1
    for row, (label, value) in enumerate(facts, 1):
        sheet.write_string(row, 0, label, styles.of(font_color=MUTED))
        cleaned = clean(value)
        sheet.write_string(row, 1, cleaned, styles.of(quoted=looks_like_formula(cleaned)))
    row += 2
    for at, title in enumerate(("Indicador", "Valor", "Observação")):
        sheet.write_string(row, at, title, styles.head("integer" if at == 1 else "text"))
    for figure in document.figures:
        row += 1
        _figure(sheet, styles, row, figure)
    for notice in document.notices:
        row += 1 + (notice == document.notices[0])
        sheet.write_string(row, 0, f"Atenção: {clean(notice)}", styles.of(font_color="#b45309"))
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    return row


def _figure(sheet: Worksheet, styles: Styles, row: int, figure: Figure) -> None:
    sheet.write_string(row, 0, figure.label, styles.of())
    if isinstance(figure.value, int | Decimal):
        sheet.write_number(row, 1, float(figure.value), styles.of(figure.kind, bold=True))
    else:
        shown = wording.DASH if figure.value is None else clean(figure.value)
        sheet.write_string(row, 1, shown, styles.of(bold=True, align="right"))
    sheet.write_string(row, 2, figure.note, styles.of(font_color=MUTED))

"""PDF: the document's figures, charts and tables laid out on A4 by typst.

The template gets everything as JSON through ``sys.inputs``. There a text is a string and stays one, so nothing that a
stranger wrote is ever read as markup. Fonts and logo come with the package: no network, no fonts of the machine needed
(though they stand in for letters that ours lack).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from flowzz_report import wording
from flowzz_report.configuration import ReportSettings
from flowzz_report.document import Column, Document, Figure, Listing, Row, Table
from flowzz_report.writers.charts_pdf import chart_of
from flowzz_report.writers.texts import on_a_page

TYPESET = Path(__file__).parent.parent / "typeset"
DENSE_COLUMNS = 8
PORTRAIT_COLUMNS = 9
NUMERIC = ("integer", "decimal", "money", "percent")


def write_pdf(document: Document, path: Path, settings: ReportSettings) -> None:
    """Write it whole; one call of the typesetter, which nothing but a kill can interrupt."""
    import typst

    logo = settings.logo or TYPESET / "logo.svg"
    copied = path.with_name(f"logo{logo.suffix.lower()}")
    shutil.copyfile(logo, copied)
    template = path.with_name("report.typ")
    shutil.copyfile(TYPESET / "report.typ", template)
    data = json.dumps(_data(document, settings, copied.name), ensure_ascii=False, allow_nan=False)
    typst.compile(
        template,
        output=path,
        root=path.parent,
        format="pdf",
        font_paths=[TYPESET / "fonts"],
        sys_inputs={"data": data},
    )


def _data(document: Document, settings: ReportSettings, logo: str) -> dict[str, Any]:
    tables = [_table(document, table, settings) for table in document.tables if table.in_pdf]
    if document.listing is not None and document.listing.in_pdf:
        tables.append(_listing(document, document.listing, settings))
    charts = [chart_of(table, chart, document.currency) for table in document.tables for chart in table.charts]
    period = f"{wording.day(document.period.first)} a {wording.day(document.period.last)}"
    facts = [
        ["Período", f"{period} ({wording.counted(document.period.days, 'dia', 'dias')})"],
        ["Gerado em", wording.moment(document.generated_at)],
        ["Fontes", on_a_page(", ".join(document.sources)) or wording.DASH],
    ]
    return {
        "title": document.title,
        "company": on_a_page(document.company),
        "company_short": on_a_page(document.company, 60),
        "brand": settings.brand,
        "logo": logo,
        "period": period,
        "generated": wording.moment(document.generated_at),
        "facts": facts,
        "filters": [on_a_page(said) for said in document.filters],
        "notices": [on_a_page(said) for said in document.notices],
        "figures": [_figure(figure, document.currency) for figure in document.figures],
        "across": 3 if len(document.figures) % 4 else 4,
        # Bytes a value may have to be set in the large size: a card is 57 mm wide, or 43.
        "roomy": 22 if len(document.figures) % 4 else 11,
        "wide": [chart for chart in charts if chart["shape"] != "bars"],
        "narrow": [chart for chart in charts if chart["shape"] == "bars"],
        "tables": tables,
        "landscape": any(len(table["columns"]) > PORTRAIT_COLUMNS for table in tables),
    }


def _figure(figure: Figure, currency: str) -> dict[str, str]:
    value = wording.cell(figure.value, figure.kind, currency)
    return {"label": figure.label, "value": on_a_page(value, 60), "note": on_a_page(figure.note, 90)}


def _table(document: Document, table: Table, settings: ReportSettings) -> dict[str, Any]:
    rows = table.rows[: min(table.pdf_rows or settings.pdf_rows, settings.pdf_rows)]
    return _laid_out(document, table.title, table.columns, rows, len(table.rows), table.total, table.note)


def _listing(document: Document, listing: Listing, settings: ReportSettings) -> dict[str, Any]:
    rows = [row for row, _ in zip(listing.rows(), range(settings.pdf_rows), strict=False)]
    return _laid_out(document, listing.title, listing.columns, rows, listing.count, listing.total, "")


def _laid_out(
    document: Document, title: str, columns: tuple[Column, ...], rows: Any, count: int, total: Row | None, note: str
) -> dict[str, Any]:
    left_out = count - len(rows)
    if left_out:
        said = wording.counted(left_out, "linha não cabe aqui", "linhas não cabem aqui")
        note = f"{said}; a planilha (XLSX ou CSV) tem todas, e o total as inclui. {note}".strip()
    size = 8 if len(columns) <= DENSE_COLUMNS else 7
    has_text = any(column.kind == "text" for column in columns)
    return {
        "title": title,
        "size": size,
        "columns": [
            {
                "title": on_a_page(column.title, 40),
                "right": column.kind in NUMERIC,
                # Text shares what is left; where there is none the columns share the page.
                "share": max(column.width, 8) if column.kind == "text" or not has_text else 0,
            }
            for column in columns
        ],
        "rows": [_cells(row, columns, document.currency) for row in rows],
        "total": None if total is None else _cells(total, columns, document.currency, empty=""),
        "note": note,
    }


def _cells(row: Row, columns: tuple[Column, ...], currency: str, empty: str = wording.DASH) -> list[str]:
    return [
        on_a_page(value if isinstance(value, str) else wording.cell(value, column.kind, currency))
        if value not in (None, "")
        else empty
        for value, column in zip(row, columns, strict=True)
    ]

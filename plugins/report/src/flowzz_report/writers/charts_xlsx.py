"""A document's charts as native charts of the workbook, on its summary, two a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from flowzz_report.document import Chart, Table

KINDS = {"line": {"type": "line"}, "columns": {"type": "column"}, "bars": {"type": "bar"}}
COLOURS = ("#0b6b63", "#d97706", "#1d4ed8")
WIDTH_PX, HEIGHT_PX, ROWS_HIGH = 620, 300, 16
MUTED = "#64748b"


def add_charts(book: xlsxwriter.Workbook, sheet: Worksheet, row: int, tables: Sequence[Table]) -> None:
    """Below ``row``. A chart of a table without rows is left out: Excel would draw an empty frame."""
    drawn = [(table, chart) for table in tables for chart in table.charts if table.rows]
    for at, (table, chart) in enumerate(drawn):
        made = _chart(book, table, chart)
        place = {"x_offset": (at % 2) * (WIDTH_PX + 16) + 4, "y_offset": 4, "object_position": 3}
        sheet.insert_chart(row + (at // 2) * ROWS_HIGH, 0, made, place)


def _chart(book: xlsxwriter.Workbook, table: Table, chart: Chart) -> Any:
    made = book.add_chart(dict(KINDS[chart.shape]))
    last = len(table.rows[: chart.limit])
    for colour, values in zip(COLOURS, chart.values, strict=False):
        made.add_series(
            {
                "name": [table.name, 0, values],
                "categories": [table.name, 1, chart.label, last, chart.label],
                "values": [table.name, 1, values, last, values],
                "fill": {"color": colour},
                "border": {"none": True},
                "line": {"color": colour, "width": 2.25},
                "gap": 60,
            }
        )
    made.set_title({"name": chart.title, "overlay": False, "name_font": {"size": 12, "bold": True}})
    made.set_legend({"none": True} if len(chart.values) == 1 else {"position": "bottom"})
    grid = {"visible": True, "line": {"color": "#e2e8f0", "width": 0.75}}
    font = {"color": MUTED, "size": 9}
    across = {"num_font": font, "line": {"color": "#cbd5e1"}, "reverse": chart.shape == "bars"}
    if table.columns[chart.label].kind in ("date", "month"):
        across |= {"date_axis": True, "num_format": "dd/mm" if table.columns[chart.label].kind == "date" else "mm/yy"}
    made.set_x_axis(across)
    made.set_y_axis(
        {"num_font": font, "major_gridlines": grid, "line": {"none": True}, "num_format": "#,##0", "min": 0}
    )
    made.set_size({"width": WIDTH_PX, "height": HEIGHT_PX})
    return made

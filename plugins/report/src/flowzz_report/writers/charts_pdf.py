"""A chart's numbers as fractions of its height or length, with a scale of round numbers; the template draws them."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

from flowzz_report import wording
from flowzz_report.document import Chart, Row, Table
from flowzz_report.writers.texts import on_a_page

TICKS, MARKS, NAME = 4, 7, 42
STEPS = (1, 2, 2.5, 5, 10)


def chart_of(table: Table, chart: Chart, currency: str) -> dict[str, Any]:
    """``empty`` when there is nothing above 0 to draw. Amounts below 0 are drawn as none."""
    drawn = chart.label if chart.shape != "bars" else chart.values[0]
    rows = [row for row in table.rows if row[drawn] is not None][: chart.limit]
    known = [float(row[place]) for row in rows for place in chart.values if row[place] is not None]
    top = scale(max(known, default=0.0))
    first = chart.values[0]
    kind = table.columns[first].kind
    return {
        "shape": chart.shape,
        "title": chart.title,
        "empty": top == 0,
        "labels": [_label(row[chart.label]) for row in rows],
        "texts": [wording.cell(row[first], kind, currency) for row in rows],
        "series": [
            {"name": table.columns[place].title, "values": [_fraction(row, place, top, chart) for row in rows]}
            for place in chart.values
        ],
        "ticks": [
            {"at": at / TICKS, "text": short(top * at / TICKS, kind, currency)} for at in range(TICKS + 1) if top
        ],
        "marks": _marks(rows, chart),
    }


def scale(most: float) -> float:
    """The first round number at or above ``most`` whose quarters are round as well; 0 for nothing."""
    if most <= 0:
        return 0.0
    raw = most / TICKS
    magnitude: float = 10.0 ** math.floor(math.log10(raw))
    step = next(step for step in STEPS if step * magnitude >= raw * (1 - 1e-9))
    return step * magnitude * TICKS


def short(value: float, kind: str, currency: str) -> str:
    """A number on an axis: R$ 12,5 mil."""
    for limit, word in ((1e9, "bi"), (1e6, "mi"), (1e3, "mil")):
        if value >= limit:
            said = f"{_few(value / limit)}{wording.FIXED}{word}"
            break
    else:
        said = _few(value)
    return f"{wording.symbol(currency)}{wording.FIXED}{said}" if kind == "money" else said


def _few(value: float) -> str:
    places = next((places for places in (0, 1) if round(value, places) == round(value, 6)), 2)
    return wording.number(Decimal(str(round(value, 6))), places)


def _fraction(row: Row, place: int, top: float, chart: Chart) -> float | None:
    value = row[place]
    if value is None:
        return None if chart.shape == "line" else 0.0
    share: float = float(value) / top if top else 0.0
    return min(1.0, max(0.0, share))


def _label(value: Any) -> str:
    if isinstance(value, date):
        return f"{value:%d/%m}"
    return on_a_page(str(value), NAME)


def _marks(rows: list[Row], chart: Chart) -> list[dict[str, Any]]:
    """A few labels below the axis, evenly spaced, the first and the last among them."""
    count = len(rows)
    if chart.shape == "bars" or not count:
        return []
    shown = min(count, MARKS)
    places = sorted({round(at * (count - 1) / max(shown - 1, 1)) for at in range(shown)})
    return [{"at": place, "text": _label(rows[place][chart.label])} for place in places]

"""How commands answer: a table for people, camelCase JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowzz import clock
from flowzz.jobs.wire import as_wire

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

WITHOUT_A_TERMINAL = 1000
"""Columns."""

STATE_STYLES = {
    "completed": "green",
    "healthy": "green",
    "loaded": "green",
    "active": "cyan",
    "degraded": "yellow",
    "delayed": "yellow",
    "paused": "yellow",
    "failed": "red",
    "unhealthy": "red",
    "needs_credentials": "red",
}


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(as_wire(value), ensure_ascii=False, indent=2, default=str))


def console() -> Console:
    """Stdout; what goes to a file or a pipe is never wrapped."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WITHOUT_A_TERMINAL)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence ``empty`` when there is no row. Numbers stand to the right."""
    found = [list(row) for row in rows]
    if not found:
        click.echo(empty)
        return
    console().print(table(columns, found))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        numbers = all(isinstance(row[place], int | float) for row in rows)
        shown.add_column(name, justify="right" if numbers else "left", overflow="fold", min_width=len(name))
    for row in rows:
        shown.add_row(*[cell(value) for value in row])
    return shown


def cell(value: object) -> Text:
    text = ago(value) if isinstance(value, datetime) else "" if value is None else str(value)
    return Text(text, style=STATE_STYLES.get(text, ""))


def ago(moment: datetime) -> str:
    """``12 s ago``, ``in 5 min``."""
    seconds = (clock.now() - moment).total_seconds()
    length = duration(abs(seconds))
    return f"{length} ago" if seconds >= 0 else f"in {length}"


def duration(seconds: float) -> str:
    """``0.25 s``, ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def in_words(result: object) -> str:
    """A job's result on one line: ``137 synced, 0 errors``, ``kind: order, effect: created``, else short JSON."""
    if result is None:
        return ""
    if isinstance(result, Mapping) and not any(isinstance(item, Mapping | list) for item in result.values()):
        told = {_spaced(str(name)): item for name, item in result.items() if item is not None}
        return ", ".join(
            f"{item} {name}" if _is_count(item) else f"{name}: {_plain(item)}" for name, item in told.items()
        )
    text = json.dumps(result, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _is_count(item: object) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def _plain(item: object) -> str:
    return ("yes" if item else "no") if isinstance(item, bool) else str(item)


def _spaced(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).replace("_", " ").strip()

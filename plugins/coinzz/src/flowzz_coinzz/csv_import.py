"""Orders from a CSV file: for what webhooks missed, since Coinzz is not known to have an API to ask.

Columns are found by name, in any order and case, with or without accents: Coinzz's own field names (``order_number``,
``order.order_number``) or Portuguese labels (``Número do pedido``); ``fields.ORDER_FIELDS`` lists them all. Separator
``;`` or ``,``; UTF-8 or Windows-1252; decimal comma or point. Importing a file again changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from flowzz.clock import now
from flowzz.errors import FlowzzError, InvalidRequest
from flowzz.jobs.context import StorePort
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_coinzz import coerce
from flowzz_coinzz.fields import ORDER_FIELDS, Field
from flowzz_coinzz.models import MIGRATIONS
from flowzz_coinzz.normalise import Normalised, complete
from flowzz_coinzz.ordering import Effect
from flowzz_coinzz.orders import Sighting, Source, store_sightings
from flowzz_coinzz.vocabulary import fold

BATCH = 200
SHOWN_PROBLEMS = 50

Columns = Sequence[tuple[Field, ...]]


@dataclass(slots=True)
class ImportReport:
    """``problems`` holds (line number in the file, what is wrong); ``refused`` counts lines that stored nothing."""

    lines: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    unknown_columns: tuple[str, ...] = ()
    problems: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file; ``number`` is the last physical line it takes up."""

    number: int
    order: Normalised
    raw: bytes


def import_file(
    store: StorePort,
    company_id: str,
    content: bytes,
    *,
    dry_run: bool = False,
    authoritative: bool = False,
    on_progress: Callable[[int], None] = lambda lines: None,
) -> ImportReport:
    """Store the orders of a CSV file, ``BATCH`` lines a transaction.

    ``authoritative`` says that the file is the present state, newer than any webhook so far; else its lines count
    like webhooks that come late. A ``dry_run`` decides everything and keeps nothing. Raises InvalidRequest when there
    is no header with an order number.
    """
    report = ImportReport()
    batch: list[Line] = []
    for line in _lines(content, report):
        batch.append(line)
        if len(batch) == BATCH:
            _store(store, company_id, batch, report, dry_run, authoritative)
            on_progress(len(batch))
            batch = []
    _store(store, company_id, batch, report, dry_run, authoritative)
    on_progress(len(batch))
    report.problems.sort()
    return report


def _store(
    store: StorePort, company_id: str, batch: Sequence[Line], report: ImportReport, dry_run: bool, authoritative: bool
) -> None:
    at = now()
    sightings = [Sighting(line.order, Source.CSV, at, line.raw, authoritative=authoritative) for line in batch]
    with store.session() as session:
        stored = store_sightings(session, company_id, sightings)
        if dry_run:
            session.rollback()
    for line, item in zip(batch, stored, strict=True):
        if item.decision.effect is Effect.CREATED:
            report.created += 1
        elif item.is_news:
            report.changed += 1
        else:
            report.unchanged += 1
        if item.decision.reason:
            report.problems.append((line.number, f"{item.decision.effect}: {item.decision.reason}"))


def _lines(content: bytes, report: ImportReport) -> Iterator[Line]:
    written = _decoded(content)
    delimiter = _delimiter(written)
    reader = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter)
    try:
        header = next(reader, [])
        columns, report.unknown_columns = _columns(header)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                report.lines += 1
                line = _line(reader.line_num, cells, header, columns, decimal_comma=delimiter == ";")
                report.problems.extend((line.number, problem) for problem in line.order.problems)
                if line.order.values.get("order_number"):
                    yield line
                else:
                    report.refused += 1
    except csv.Error as error:
        raise InvalidRequest(f"line {reader.line_num}: this is not CSV ({error})") from None


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _delimiter(written: str) -> str:
    header = written.lstrip().partition("\n")[0]
    return ";" if header.count(";") >= header.count(",") and ";" in header else ","


def _columns(header: Sequence[str]) -> tuple[Columns, tuple[str, ...]]:
    """The fields that each column fills, and the names nobody knows. Raises InvalidRequest without an order number."""
    known = _by_header()
    labels = [known.get(fold(name)) for name in header]
    if "order.order_number" not in labels:
        raise InvalidRequest(
            "expected a header line with a column order_number (or Número do pedido); "
            f"got {', '.join(repr(name.strip()[:40]) for name in header[:12]) or 'an empty file'}"
        )
    columns: Columns = [tuple(item for item in ORDER_FIELDS if item.label == label) for label in labels]
    unknown = tuple(name.strip() for name, label in zip(header, labels, strict=True) if label is None and name.strip())
    return columns, unknown


def _by_header() -> dict[str, str]:
    """Folded column names to the field's label; a fee, whose key says little alone, only by its full one."""
    known: dict[str, str] = {}
    for item in ORDER_FIELDS:
        keys = () if item.block == "financial_fees" else item.keys
        known.update({fold(name): item.label for name in (item.label, *keys, *item.headers)})
    return known


def _line(number: int, cells: Sequence[str], header: Sequence[str], columns: Columns, *, decimal_comma: bool) -> Line:
    values: dict[str, Any] = {}
    problems = []
    if len(cells) > len(columns):
        problems.append(f"expected {len(columns)} columns, got {len(cells)}; is a separator inside a value not quoted?")
    for cell, fields in zip(cells, columns, strict=False):
        for item in fields:
            try:
                values[item.column] = _cell(item, cell, decimal_comma)
            except coerce.Unreadable as error:
                problems.append(f"{item.label}: {error}")
    order = complete(Normalised({name: value for name, value in values.items() if value is not None}, tuple(problems)))
    raw = json.dumps(dict(zip(header, cells, strict=False)), ensure_ascii=False)
    return Line(number, order, raw.encode("utf-8", "replace"))


def _cell(item: Field, cell: str, decimal_comma: bool) -> Any:
    if item.read is coerce.money:
        return coerce.money(cell.strip(), decimal_comma=decimal_comma)
    return item.read(cell.strip())


@click.group("coinzz")
def coinzz_commands() -> None:
    """Coinzz: sales, webhooks and CSV files."""


@coinzz_commands.command("import-csv")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--company", "company_id", required=True, metavar="ID", help="Company that the orders belong to.")
@click.option("--dry-run", is_flag=True, help="Say what would happen and keep nothing.")
@click.option("--present", is_flag=True, help="The file is the present state: it may move orders backward too.")
def import_csv(file: Path, company_id: str, dry_run: bool, present: bool) -> None:
    """Import orders from FILE, a CSV with a header line. Importing it again changes nothing."""
    content = file.read_bytes()
    try:
        store = Store.open(Settings.load())
        try:
            store.migrate([MIGRATIONS])
            company = store.company(company_id)
            with click.progressbar(length=max(1, content.count(b"\n")), label=company.name, file=sys.stderr) as bar:
                report = import_file(
                    store, company.id, content, dry_run=dry_run, authoritative=present, on_progress=bar.update
                )
        finally:
            store.close()
    except FlowzzError as error:
        raise click.ClickException(str(error)) from error
    _tell(report, dry_run=dry_run)
    if report.refused:
        raise click.exceptions.Exit(1)


def _tell(report: ImportReport, *, dry_run: bool) -> None:
    for number, problem in report.problems[:SHOWN_PROBLEMS]:
        click.echo(f"line {number}: {problem}", err=True)
    if len(report.problems) > SHOWN_PROBLEMS:
        click.echo(f"… and {len(report.problems) - SHOWN_PROBLEMS} more problems", err=True)
    if report.unknown_columns:
        click.echo(f"columns not known, left out: {', '.join(report.unknown_columns)}", err=True)
    counts: Mapping[str, int] = {
        "lines": report.lines,
        "created": report.created,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "refused": report.refused,
    }
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    click.echo(f"{'would be: ' if dry_run else ''}{said}")

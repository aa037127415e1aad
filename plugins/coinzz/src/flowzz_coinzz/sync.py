"""The hourly sync: pending webhooks first, then, where the pull is on, the sales that changed since last time.

A page is one transaction; only then the checkpoint moves on. So a run that crashed, was throttled or stopped goes
on at its page, and a page read twice changes nothing. While a page is stored the next one is asked for already; a run
that ends in between throws it away. The watermark is the moment *before* the run asked for its first page, and each
run looks ``OVERLAP`` further back, so nothing falls between two runs.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from pydantic_core import to_json
from sqlalchemy import func, select

from flowzz.clock import now
from flowzz.jobs.connection import Connection
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.payload import Payload, Result
from flowzz.store.bulk import upsert
from flowzz_coinzz.client import CoinzzClient
from flowzz_coinzz.connection import ASSUMPTION, CoinzzConnection
from flowzz_coinzz.models import orders, sync_state
from flowzz_coinzz.normalise import normalise_order
from flowzz_coinzz.orders import Sighting, Source, store_sightings
from flowzz_coinzz.upstream import SalesPage, sales_page
from flowzz_coinzz.webhooks import RECOVER_AFTER, process_pending

PLUGIN = "coinzz"
SYNC_JOB = "coinzz.sync_sales"
SYNC_QUEUE = "sync-coinzz"
OVERLAP = timedelta(minutes=10)
PASSES = 3
"""Times the pages are read in one run when rows shifted between them and some were missed."""
MAX_PAGES = 100_000
REPORT_EVERY_S = 1.0
LOGGED_PROBLEMS = 20
"""Problems of one page that get a line of their own in the job's log."""


class SyncSales(Payload):
    """``force_full_sync`` asks for every sale instead of those since the last success.

    ``connection_id`` names one of several connections of the company; default: the oldest that is active.
    """

    empresa_id: str
    force_full_sync: bool = False
    connection_id: str | None = None


class SyncedSales(Result):
    """``synced`` counts orders stored from the pull and webhooks reconciled; ``errors`` what could not be."""

    synced: int
    errors: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a run is: the checkpoint. Moments are ISO 8601; ``page`` is the next to read.

    ``run`` names the run; every order it sees is marked with it, which is how a missed row shows.
    """

    run: str
    updated_from: str | None
    page: int = 1
    turn: int = 1
    reconciled: int = 0
    webhook_problems: int = 0
    bad_rows: int = 0
    total: int | None = None

    @property
    def errors(self) -> int:
        return self.webhook_problems + self.bad_rows


MAX_STALLED = 25
"""A sync that loses its worker goes on at its page, so that it did says little about the sync itself."""


@job(
    SYNC_JOB,
    queue=SYNC_QUEUE,
    timeout=timedelta(hours=2),
    max_stalled=MAX_STALLED,
    duplicates=Unique(by=("empresa_id", "force_full_sync", "connection_id")),
)
def sync_sales(ctx: JobContext, data: SyncSales) -> SyncedSales:
    """Bring a company's Coinzz sales up to date.

    Raises Permanent when the company has no connection, ConnectionInactive when it is paused, NeedsCredentials when
    Coinzz refuses the token and Throttled when it asks us to wait; the page it stands at is kept.
    """
    connection = ctx.connection(PLUGIN, data.connection_id)
    settings = connection.configured(CoinzzConnection)
    cursor = _resumed(ctx) or _begun(ctx, data, connection)
    if not settings.pull_enabled:
        ctx.log(
            f"the pull is off for this connection, so only webhooks were looked at: {cursor.reconciled} were pending. "
            f"{ASSUMPTION}"
        )
        return SyncedSales(synced=cursor.reconciled, errors=cursor.errors)
    ctx.save_checkpoint(asdict(cursor))
    ctx.log(f"asking {settings.base_url}/{settings.pull_path} from page {cursor.page} ({_since(cursor)}). {ASSUMPTION}")
    with CoinzzClient(settings, connection.id) as client:
        cursor = _Run(ctx, client, data.empresa_id, connection.id).read(cursor)
    return _finish(ctx, data.empresa_id, connection.id, cursor)


def companies_to_sync(store: StorePort) -> Iterator[SyncSales]:
    """One payload for each active connection, whether its pull is on or not; a company's only one goes unnamed."""
    found = store.connections(PLUGIN)
    each = Counter(connection.company_id for connection in found)
    return (
        SyncSales(empresa_id=one.company_id, connection_id=one.id if each[one.company_id] > 1 else None)
        for one in found
    )


def _resumed(ctx: JobContext) -> Cursor | None:
    if ctx.checkpoint is None:
        return None
    cursor = Cursor(**ctx.checkpoint)
    ctx.log(f"going on at page {cursor.page} of the run begun {cursor.run}")
    return cursor


def _begun(ctx: JobContext, data: SyncSales, connection: Connection) -> Cursor:
    """Reconcile the webhooks, then fix what this run asks for. The moment is taken first: see the head of this file."""
    begun = now()
    reconciled, problems = process_pending(ctx, data.empresa_id, older_than=begun - RECOVER_AFTER)
    watermark = None if data.force_full_sync else _watermark(ctx.store, connection.id)
    since = (watermark - OVERLAP).isoformat() if watermark else None
    return Cursor(run=begun.isoformat(), updated_from=since, reconciled=reconciled, webhook_problems=problems)


def _watermark(store: StorePort, connection_id: str) -> datetime | None:
    with store.session() as session:
        return session.scalar(select(sync_state.c.watermark).where(sync_state.c.connection_id == connection_id))


def _since(cursor: Cursor) -> str:
    return f"sales updated since {cursor.updated_from}" if cursor.updated_from else "all sales"


class _Run:
    """The pages of one run."""

    def __init__(self, ctx: JobContext, client: CoinzzClient, company_id: str, connection_id: str) -> None:
        self.ctx = ctx
        self.client = client
        self.company_id = company_id
        self.connection_id = connection_id
        self._reported = float("-inf")

    def read(self, cursor: Cursor) -> Cursor:
        """Read until the last page, and again from the first when rows were missed; the cursor after the last page."""
        since = datetime.fromisoformat(cursor.updated_from) if cursor.updated_from else None
        ahead = _Ahead(self.client, since)
        while True:
            cursor = self._all_pages(cursor, ahead)
            missing = self._missing(cursor)
            if missing <= 0 or cursor.turn >= PASSES:
                return cursor
            self.ctx.log(f"rows shifted between pages and {missing} were missed; reading the pages again")
            cursor = replace(cursor, page=1, turn=cursor.turn + 1)
            self.ctx.save_checkpoint(asdict(cursor))

    def _all_pages(self, cursor: Cursor, ahead: _Ahead) -> Cursor:
        """From the cursor's page to the last one; the cursor after it."""
        previous: list[Any] | None = None
        while True:
            self._look_up(cursor)
            page, fetched_at = ahead.page(cursor.page)
            if page.rows and page.rows == previous and page.pages is None:
                self.ctx.log(f"page {cursor.page} is page {cursor.page - 1} again: Coinzz ignores the page number")
                return cursor
            is_last = page.is_last or cursor.page >= MAX_PAGES
            if not is_last:
                ahead.ask_for(cursor.page + 1)
            cursor = self._stored(cursor, page, fetched_at)
            if is_last:
                return cursor
            previous = page.rows

    def _look_up(self, cursor: Cursor) -> None:
        """Between two pages: is anybody asking us to stop?"""
        self.ctx.raise_if_canceled()
        self.ctx.raise_if_stopping(f"the worker is stopping; the sync goes on at page {cursor.page}")

    def _stored(self, cursor: Cursor, page: SalesPage, fetched_at: datetime) -> Cursor:
        sightings, problems = _sightings(page.rows, fetched_at)
        with self.ctx.store.session() as session:
            store_sightings(session, self.company_id, sightings, connection_id=self.connection_id, pull_run=cursor.run)
        bad = len(page.rows) - len(sightings) if cursor.turn == 1 else 0
        after = replace(cursor, page=cursor.page + 1, bad_rows=cursor.bad_rows + bad, total=page.total)
        self.ctx.save_checkpoint(asdict(after))
        for problem in problems[:LOGGED_PROBLEMS]:
            self.ctx.log(f"page {cursor.page}, {problem}")
        if len(problems) > LOGGED_PROBLEMS:
            self.ctx.log(f"page {cursor.page}: {len(problems) - LOGGED_PROBLEMS} more problems")
        self._report(cursor.page, page)
        return after

    def _report(self, number: int, page: SalesPage) -> None:
        """Progress, at most once a second unless it is the last page."""
        if not page.is_last and monotonic() - self._reported < REPORT_EVERY_S:
            return
        self._reported = monotonic()
        pages = page.pages or number
        self.ctx.progress(
            100 * number / max(pages, number), f"page {number}" + (f"/{page.pages}" if page.pages else "")
        )

    def _missing(self, cursor: Cursor) -> int:
        """Rows that Coinzz counts and this run has not seen; 0 where it does not count."""
        if cursor.total is None:
            return 0
        return cursor.total - _seen_by(self.ctx.store, self.company_id, cursor) - cursor.bad_rows


class _Ahead:
    """Pages of sales, of which one may be asked for before it is needed."""

    def __init__(self, client: CoinzzClient, since: datetime | None) -> None:
        self._client = client
        self._since = since
        self._asked: tuple[int, Future[tuple[SalesPage, datetime]]] | None = None

    def ask_for(self, number: int) -> None:
        """Begin to read page ``number``; what goes wrong is raised by ``page``."""
        answer: Future[tuple[SalesPage, datetime]] = Future()
        self._asked = number, answer
        # A daemon: neither a sync that ends early nor a worker that stops waits for an answer nobody needs.
        threading.Thread(target=self._answer, args=(number, answer), name="coinzz-page", daemon=True).start()

    def page(self, number: int) -> tuple[SalesPage, datetime]:
        """The page, and when it was asked for. Raises like ``sales_page``."""
        if self._asked is None or self._asked[0] != number:
            return self._read(number)
        (_, answer), self._asked = self._asked, None
        return answer.result()

    def _answer(self, number: int, answer: Future[tuple[SalesPage, datetime]]) -> None:
        try:
            answer.set_result(self._read(number))
        except BaseException as error:  # noqa: BLE001 - it is raised where the page is waited for
            answer.set_exception(error)

    def _read(self, number: int) -> tuple[SalesPage, datetime]:
        asked_at = now()
        return sales_page(self._client, number, self._since), asked_at


def _sightings(rows: list[Any], fetched_at: datetime) -> tuple[list[Sighting], list[str]]:
    """The rows that are orders, and what could not be read, each with the row's place on its page."""
    sightings: list[Sighting] = []
    problems: list[str] = []
    for place, row in enumerate(rows, start=1):
        order = normalise_order(row)
        problems.extend(f"row {place}: {problem}" for problem in order.problems)
        if order.values.get("order_number"):
            sightings.append(Sighting(order, Source.PULL, fetched_at, _body(row), authoritative=True))
    return sightings, problems


def _body(row: Any) -> bytes:
    try:
        return to_json(row)
    except ValueError:  # nested deeply, or half a surrogate pair
        pass
    try:
        return json.dumps(row, default=str, ensure_ascii=False).encode("utf-8", "replace")
    except RecursionError:
        return b"(nested too deeply to keep)"


def _seen_by(store: StorePort, company_id: str, cursor: Cursor) -> int:
    query = select(func.count()).where(orders.c.company_id == company_id, orders.c.pull_run == cursor.run)
    with store.session() as session:
        return session.scalar(query) or 0


def _finish(ctx: JobContext, company_id: str, connection_id: str, cursor: Cursor) -> SyncedSales:
    """Move the watermark, unless rows are known to be missing: then the next run asks for the same time again."""
    stored = _seen_by(ctx.store, company_id, cursor)
    missing = 0 if cursor.total is None else max(0, cursor.total - stored - cursor.bad_rows)
    result = SyncedSales(synced=stored + cursor.reconciled, errors=cursor.errors + missing)
    if missing:
        ctx.log(f"{missing} sales were not seen in {PASSES} readings; the next sync asks for the same time again")
        return result
    at = datetime.fromisoformat(cursor.run)
    row = {
        "connection_id": connection_id,
        "company_id": company_id,
        "watermark": at,
        "last_success_at": now(),
        "last_synced": result.synced,
        "last_errors": result.errors,
    }
    with ctx.store.session() as session:
        upsert(session, sync_state, [row], ("connection_id",))
    ctx.log(f"{stored} orders stored, {cursor.reconciled} webhooks reconciled, {result.errors} errors")
    return result

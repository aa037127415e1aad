"""The sync of one ad account, every six hours: its structure as far as it changed, and what its ads did each day.

The job may end at any page and goes on there, for the checkpoint moves only after a page is stored and a page that is
read twice changes nothing. The highest ``updated_time`` seen counts from a whole success on, and each run looks
``OVERLAP`` further back.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from flowzz.clock import now
from flowzz.errors import NeedsCredentials, Permanent
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.context import JobContext, StorePort
from flowzz.jobs.definition import job
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.limits import Concurrency
from flowzz.jobs.retry import Exponential
from flowzz.store.bulk import upsert
from flowzz_facebook.client import ACCOUNT_LIMIT, GraphClient
from flowzz_facebook.connection import FacebookConnection, bare_account
from flowzz_facebook.cursor import Cursor
from flowzz_facebook.graph import read_account
from flowzz_facebook.insights import KIND, planned, sync_insights, today_in
from flowzz_facebook.models import accounts, sync_state
from flowzz_facebook.payloads import SyncCampaigns, SyncedCampaigns
from flowzz_facebook.reading import account_row
from flowzz_facebook.run import Run
from flowzz_facebook.structure import sync_structure

PLUGIN = "facebook"
SYNC_JOB = "facebook.sync_campaigns"
SYNC_QUEUE = "sync-facebook"
OVERLAP = timedelta(hours=1)
MAX_STALLED = 25
"""A sync that loses its worker goes on at its page, so that it did says little about the sync itself."""

STATE_KEY = ("company_id", "account_id")
UNTIL = {"campaigns": "campaigns_until", "adsets": "ad_sets_until", "ads": "ads_until"}


@job(
    SYNC_JOB,
    queue=SYNC_QUEUE,
    timeout=timedelta(hours=2),
    max_stalled=MAX_STALLED,
    retry=Exponential(attempts=5, delay=timedelta(seconds=5), jitter=0.2, cap=timedelta(minutes=5)),
    limits=[Concurrency(ACCOUNT_LIMIT, 1, by="ad_account_id")],
    duplicates=Unique(by=("empresa_id", "ad_account_id", "force_full_sync")),
)
def sync_campaigns(ctx: JobContext, data: SyncCampaigns) -> SyncedCampaigns:
    """Bring one ad account's campaigns, ad sets, ads and daily insights up to date.

    Raises Permanent when the company has no connection with that account or the token may not read it,
    ConnectionInactive when it is paused, NeedsCredentials when Meta refuses the token, Throttled when the account must
    be left alone, Snoozed while Meta prepares a report; where it stands is kept.
    """
    connection = _connection_of(ctx, data)
    settings = connection.configured(FacebookConnection)
    with GraphClient(settings, connection.id, data.ad_account_id) as client:
        try:
            run = _begin(ctx, client, data)
            sync_structure(run)
            _plan_insights(run)
            sync_insights(run)
        except NeedsCredentials:
            raise
        except Permanent as problem:
            _remember_problem(ctx.store, data, connection, problem)
            raise
    return _finish(run, connection.id)


def accounts_to_sync(store: StorePort) -> Iterator[SyncCampaigns]:
    """One payload for each ad account of each company's active connections.

    A connection that cannot be read as one of ours is left out; its check says why.
    """
    listed = ((one.company_id, account) for one in store.connections(PLUGIN) for account in _listed_accounts(one))
    for company_id, account in dict.fromkeys(listed):
        yield SyncCampaigns(empresa_id=company_id, ad_account_id=account)


def _listed_accounts(connection: Connection) -> Iterator[str]:
    listed = connection.config.get("ad_account_ids")
    for account in listed if isinstance(listed, list | tuple) else ():
        try:
            yield bare_account(str(account))
        except ValueError:
            continue


def _connection_of(ctx: JobContext, data: SyncCampaigns) -> Connection:
    """The company's connection that lists the account. Raises Permanent, and ConnectionInactive while it is paused."""
    found = ctx.store.connections(PLUGIN, active_only=False, company_id=data.empresa_id)
    listing = [one for one in found if data.ad_account_id in _listed_accounts(one)]
    if found and not listing:
        known = ", ".join(account for one in found for account in _listed_accounts(one))
        raise Permanent(
            f"expected adAccountId to be one of the connection's ({known}), got {data.ad_account_id}; "
            "add it to the connection to sync it"
        )
    active = next((one for one in listing if one.state is ConnectionState.ACTIVE), None)
    chosen = active or next(iter(listing), None)
    return ctx.connection(PLUGIN, chosen.id if chosen else None)


def _begin(ctx: JobContext, client: GraphClient, data: SyncCampaigns) -> Run:
    """Where an earlier execution stood, or the beginning: the account's own fields, and what to ask for."""
    state = _state(ctx.store, data)
    if ctx.checkpoint is not None:
        ctx.log("going on where the last execution stood")
        return Run(ctx, client, data.empresa_id, Cursor.from_json(ctx.checkpoint))
    begun = now()
    row, problems = account_row(read_account(client), data.empresa_id, data.ad_account_id)
    with ctx.store.session() as session:
        upsert(session, accounts, [row], STATE_KEY)
    full = data.force_full_sync or _is_full_due(state, client.settings, begun)
    since = (
        {}
        if full
        else {edge: state[name] - int(OVERLAP.total_seconds()) for edge, name in UNTIL.items() if state[name]}
    )
    cursor = Cursor(begun.isoformat(), full, data.force_full_sync, since, row["currency"], row["timezone"])
    run = Run(ctx, client, data.empresa_id, cursor)
    run.log_problems(f"ad account {data.ad_account_id}", problems)
    ctx.log(f"ad account {data.ad_account_id}: {'everything' if full else 'what changed since the last success'}")
    run.move()
    return run


def _state(store: StorePort, data: SyncCampaigns) -> dict[str, Any]:
    """The account's row of ``sync_state``; empty values before its first sync."""
    query = select(sync_state).where(
        sync_state.c.company_id == data.empresa_id, sync_state.c.account_id == data.ad_account_id
    )
    with store.session() as session:
        found = session.execute(query).mappings().first()
    return dict(found) if found else dict.fromkeys(sync_state.c.keys())


def _is_full_due(state: dict[str, Any], settings: FacebookConnection, at: datetime) -> bool:
    last = state["last_full_at"]
    if last is None:
        return True
    return bool(settings.full_sync_days and at - last >= timedelta(days=settings.full_sync_days))


def _plan_insights(run: Run) -> None:
    """Fix the days to ask for, once a run: a day that ends meanwhile is the next run's."""
    if run.cursor.windows is not None:
        return
    state = _state(run.ctx.store, SyncCampaigns(empresa_id=run.company_id, ad_account_id=run.account))
    until = state["insights_until"]
    if run.cursor.forced or state["purchase_action_type"] != run.settings.purchase_action_type:
        until = None
    windows = planned(today_in(run.cursor.timezone, now()), run.settings.history_days, until)
    run.move(windows=windows, planned=len(windows))


def _finish(run: Run, connection_id: str) -> SyncedCampaigns:
    cursor, at = run.cursor, now()
    data = SyncCampaigns(empresa_id=run.company_id, ad_account_id=run.account)
    state = _state(run.ctx.store, data)
    begun = datetime.fromisoformat(cursor.run)
    row: dict[str, Any] = {
        "company_id": run.company_id,
        "account_id": run.account,
        "connection_id": connection_id,
        **{name: max(cursor.newest.get(edge, 0), state[name] or 0) or None for edge, name in UNTIL.items()},
        "insights_until": today_in(cursor.timezone, begun),
        "purchase_action_type": run.settings.purchase_action_type,
        "last_full_at": begun if cursor.full else state["last_full_at"],
        "last_success_at": at,
        "last_errors": cursor.errors,
        "problem": None,
    }
    with run.ctx.store.session() as session:
        upsert(session, sync_state, [row], STATE_KEY)
    counts = cursor.counts
    result = SyncedCampaigns(
        campaigns=counts.get("campaigns", 0),
        ad_sets=counts.get("adsets", 0),
        ads=counts.get("ads", 0),
        insights=counts.get(KIND, 0),
        errors=cursor.errors,
    )
    run.ctx.progress(100, "done")
    return result


def _remember_problem(store: StorePort, data: SyncCampaigns, connection: Connection, problem: Permanent) -> None:
    """Why this account's sync failed for good; a refused token is the connection's matter."""
    row = {
        "company_id": data.empresa_id,
        "account_id": data.ad_account_id,
        "connection_id": connection.id,
        "problem": str(problem)[:2000],
    }
    with store.session() as session:
        upsert(session, sync_state, [row], STATE_KEY)

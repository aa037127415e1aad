"""What we ask of the Graph API: an ad account, pages of its objects and insights, and reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flowzz.jobs.connection import Connection
from flowzz_facebook.client import GraphClient, Params
from flowzz_facebook.connection import FacebookConnection
from flowzz_facebook.errors import AccountRefused, Refused, TransientError

CHECK_TIMEOUT = timedelta(seconds=10)
ACCOUNT_FIELDS = (
    "id,account_id,name,account_status,currency,timezone_name,timezone_id,timezone_offset_hours_utc,amount_spent,balance,"
    "disable_reason,created_time"
)
INSIGHTS_FIELDS = (
    "account_id,account_currency,campaign_id,campaign_name,adset_id,adset_name,ad_id,ad_name,spend,impressions,reach,clicks,"
    "inline_link_clicks,actions,action_values,date_start,date_stop"
)
REPORT_FIELDS = (
    "id,async_status,async_percent_completion,error_code,error_message,error_subcode,error_user_title,error_user_msg"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A level of an account's structure: its edge, the name its fields have in filters, and the fields we ask for."""

    edge: str
    entity: str
    fields: str


KINDS = (
    Kind(
        "campaigns",
        "campaign",
        "id,account_id,name,objective,status,configured_status,effective_status,buying_type,bid_strategy,daily_budget,"
        "lifetime_budget,budget_remaining,spend_cap,special_ad_categories,start_time,stop_time,created_time,updated_time",
    ),
    Kind(
        "adsets",
        "adset",
        "id,account_id,campaign_id,name,status,configured_status,effective_status,daily_budget,lifetime_budget,"
        "budget_remaining,bid_amount,bid_strategy,billing_event,optimization_goal,attribution_spec,promoted_object,targeting,"
        "start_time,end_time,created_time,updated_time",
    ),
    Kind(
        "ads",
        "ad",
        "id,account_id,campaign_id,adset_id,name,status,configured_status,effective_status,creative{id},tracking_specs,"
        "created_time,updated_time",
    ),
)
GONE = ("DELETED", "ARCHIVED")
"""Left out of every listing unless asked for (reference §3.2), so they are asked for in a listing of their own."""


def check(connection: Connection) -> None:
    """Ask who the token is of, then for each ad account; the problems of all accounts together.

    The token itself is not sent to ``debug_token``: that would put it into an address. Raises NeedsCredentials,
    AccountRefused, WrongEndpoint, TransientError, Throttled or Refused, each with words a person can act on.
    """
    settings = connection.configured(FacebookConnection)
    problems = []
    for account in settings.ad_account_ids:
        client = GraphClient(settings, connection.id, account, read_timeout=CHECK_TIMEOUT, quick_retries=())
        with client:
            if account == settings.ad_account_ids[0]:
                client.get("me", {"fields": "id"})
            try:
                read_account(client)
            except (AccountRefused, Refused) as refused:
                problems.append(str(refused))
    if problems:
        raise AccountRefused("; ".join(problems))


def read_account(client: GraphClient) -> Mapping[str, Any]:
    """The ad account's own fields. Raises what ``GraphClient.get`` raises."""
    return client.get(f"act_{client.account}", {"fields": ACCOUNT_FIELDS})


def structure_query(kind: Kind, *, gone: bool, updated_after: int | None) -> dict[str, str | int]:
    """The parameters of a listing: what lives, or what is deleted and archived; all, or what changed since (Unix s)."""
    filters: list[dict[str, Any]] = []
    if gone:
        filters.append({"field": f"{kind.entity}.effective_status", "operator": "IN", "value": list(GONE)})
    if updated_after is not None:
        filters.append({"field": f"{kind.entity}.updated_time", "operator": "GREATER_THAN", "value": updated_after})
    return {"fields": kind.fields, **({"filtering": _json(filters)} if filters else {})}


def insights_query(since: date, until: date) -> dict[str, str | int]:
    """The parameters for each ad's days from ``since`` to ``until``, both included, in the account's time zone."""
    return {
        "level": "ad",
        "time_increment": 1,
        "fields": INSIGHTS_FIELDS,
        "time_range": _json({"since": since.isoformat(), "until": until.isoformat()}),
    }


def create_report(client: GraphClient, query: Params) -> str:
    """Start a report run; its id. A repeated call starts another one, which costs quota and nothing else."""
    document = client.post(f"act_{client.account}/insights", query)
    run = document.get("report_run_id")
    if not run:
        raise TransientError(f"act_{client.account}/insights: Meta started a report without telling its id")
    return str(run)


@dataclass(frozen=True, slots=True)
class Report:
    """How far a report run is. ``problem`` is what Meta says about one that failed."""

    status: str
    percent: int
    problem: str

    @property
    def is_ready(self) -> bool:
        """Completed counts only at 100 % (reference §3.5)."""
        return self.status == "Job Completed" and self.percent >= 100


def read_report(client: GraphClient, run: str) -> Report:
    """Raises ObjectMissing for a run that is not known: not yet, or not any more."""
    document = client.get(run, {"fields": REPORT_FIELDS})
    said = _texts(document, "error_user_title", "error_user_msg", "error_message")
    code = "/".join(_texts(document, "error_code", "error_subcode"))
    try:
        percent = int(document.get("async_percent_completion") or 0)
    except (TypeError, ValueError):
        percent = 0
    return Report(str(document.get("async_status") or ""), percent, " ".join([*([code] if code else []), *said]))


def _texts(document: Mapping[str, Any], *names: str) -> Iterator[str]:
    return (str(document[name]) for name in names if document.get(name))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

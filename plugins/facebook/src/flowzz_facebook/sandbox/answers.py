"""What the sandbox answers to each call of the Graph API, as far as our plugin makes them (reference §3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from flowzz_facebook.sandbox.state import TOKEN, ReportRun, SandboxState
from flowzz_facebook.sandbox.world import HIDDEN, Account, Object

DEFAULT_LIMIT = 25
START, AGAIN = "start", "~"
"""Cursors: before the first item; after an empty page, where no new item tells them apart."""

REDUCE = "Please reduce the amount of data you're asking for, then retry your request"


class GraphFault(Exception):
    """An error to answer with."""

    def __init__(self, code: int, message: str, *, subcode: int = 0, status: int = 400, **more: Any) -> None:
        self.status = status
        self.error = {
            "message": message,
            "type": "OAuthException",
            "code": code,
            **({"error_subcode": subcode} if subcode else {}),
            **more,
            "fbtrace_id": "AsandboxTrace",
        }
        super().__init__(message)


Args = Mapping[str, str]
Asked = tuple[date, date, tuple[str, ...]]
"""First day, last day, fields."""


def projected(found: Object, fields: str | None) -> Object:
    """Only ``id`` where no fields are asked for."""
    names = [name.partition("{")[0] for name in (fields or "id").split(",")]
    return {name: found[name] for name in dict.fromkeys(["id", *names]) if name in found}


def missing(identifier: str) -> GraphFault:
    return GraphFault(100, f"Unsupported get request. Object with ID '{identifier}' does not exist", subcode=33)


def structure(state: SandboxState, account: Account, edge: str, args: Args) -> bytes:
    """A page of campaigns, ad sets or ads."""
    strike = _striker(state, edge, account.id)
    limit = _limit(state, edge, account.id, args)
    _shift(state, account, edge, args.get("after"))
    listed = _filtered(account.edges[edge], edge, args)
    start = _start(listed, args.get("after"), strike)
    if start and strike("skipped_item"):
        start += 1
    size = max(1, limit // 2) if strike("short_page") else limit
    rows = [] if strike("empty_page") else listed[start : start + size]
    shown = [projected(one, args.get("fields")) for one in rows]
    if shown and strike("broken_row"):
        shown[0] = {"name": "nobody's"}
    after = _cursor(rows[-1]["id"] if rows else _place(args.get("after"), START) + AGAIN)
    has_next = start + len(rows) < len(listed)
    if strike("cursor_loop"):
        after, has_next = args.get("after") or after, True
    return _page([json.dumps(one).encode() for one in shown], after, has_next, args)


def _filtered(listed: list[Object], edge: str, args: Args) -> list[Object]:
    entity = edge[:-1]
    asked: set[str] | None = None
    since = float("-inf")
    for one in json.loads(args.get("filtering") or "[]"):
        name, operator, value = one["field"], one["operator"], one["value"]
        if (name, operator) in ((f"{entity}.effective_status", "IN"), (f"{entity}.delivery_info", "IN")):
            asked = {str(status).upper() for status in value}
        elif (name, operator) == (f"{entity}.updated_time", "GREATER_THAN"):
            since = float(value)
        else:
            raise GraphFault(100, f"(#100) Filtering field {name} with operator {operator} is invalid")
    return [
        one
        for one in listed
        if (one["effective_status"] in asked if asked is not None else one["effective_status"] not in HIDDEN)
        and datetime.fromisoformat(one["updated_time"]).timestamp() > since
    ]


def _start(listed: list[Object], after: str | None, strike: Any) -> int:
    """The place of the first row after the cursor, which points to an item and dies with it."""
    identifier = _place(after, START)
    if identifier == START:
        return 0
    place = next((place for place, one in enumerate(listed) if one["id"] == identifier), None)
    if place is None or strike("dead_cursor"):
        raise _dead()
    return place if strike("inserted_item") else place + 1


def _shift(state: SandboxState, account: Account, edge: str, after: str | None) -> None:
    """What happens between two pages: the object that the cursor points to goes."""
    if after and _striker(state, edge, account.id)("removed_item"):
        identifier = _place(after, START)
        account.edges[edge] = [one for one in account.edges[edge] if one["id"] != identifier]


def _dead() -> GraphFault:
    return GraphFault(100, "(#100) Invalid parameter: the cursor is not valid")


def insights(state: SandboxState, account: Account, args: Args) -> bytes:
    """A page of an account's insights."""
    since, until, fields = _asked(state, account, args, "insights")
    limit = _limit(state, "insights", account.id, args)
    return _insights_page(state, account, (since, until, fields), limit, args, "insights")


def create_report(state: SandboxState, account: Account, args: Args) -> ReportRun:
    """Starts a report run."""
    since, until, fields = _asked(state, account, args, "create_report")
    return state.start_report(account.id, since, until, fields)


def report(state: SandboxState, run: ReportRun) -> Object:
    """How far a report run is."""
    strike = _striker(state, "report", run.account)
    run.polls += 1
    answer: Object = {"id": run.id, "account_id": run.account, "time_ref": int(state.now().timestamp())}
    if run.polls == 1 and strike("report_unreplicated"):
        raise missing(run.id)
    if strike("report_failed"):
        return {
            **answer,
            "async_status": "Job Failed",
            "async_percent_completion": 60,
            "error_code": 2,
            "error_subcode": 1504018,
            "error_message": "Service temporarily unavailable",
            "error_user_title": "Report failed",
            "error_user_msg": "Ask for fewer days",
        }
    if strike("report_skipped"):
        return {**answer, "async_status": "Job Skipped", "async_percent_completion": 0}
    if strike("report_incomplete"):
        return {**answer, "async_status": "Job Completed", "async_percent_completion": 80}
    waiting = int(state.settings["not_started_polls"])
    if run.polls <= waiting or strike("report_stuck"):
        return {**answer, "async_status": "Job Not Started", "async_percent_completion": 0}
    if run.polls <= waiting + int(state.settings["running_polls"]):
        return {**answer, "async_status": "Job Running", "async_percent_completion": 40}
    return {**answer, "async_status": "Job Completed", "async_percent_completion": 100}


def report_rows(state: SandboxState, run: ReportRun, args: Args) -> bytes:
    """A page of a report."""
    account = state.account(run.account)
    if _striker(state, "report_rows", account.id)("report_expired"):
        raise missing(run.id)
    limit = _limit(state, "report_rows", account.id, args)
    return _insights_page(state, account, (run.since, run.until, run.fields), limit, args, "report_rows")


def _asked(state: SandboxState, account: Account, args: Args, endpoint: str) -> Asked:
    if args.get("level") != "ad":
        raise GraphFault(100, f"(#100) this sandbox knows level=ad only, not {args.get('level')!r}")
    if args.get("breakdowns"):
        raise GraphFault(2, "Unsupported combination of breakdowns", subcode=1504041)
    asked = json.loads(args.get("time_range") or "{}")
    since, until = date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"])
    if since < months_before(state.now().date(), 37):
        raise GraphFault(3018, "(#3018) The start date of the time range cannot be beyond 37 months")
    days = (until - since).days + 1
    much = state.faults.strike("too_much_data", endpoint=endpoint, account=account.id)
    if much is not None and days > int(much.get("days", 10**6)):
        raise GraphFault(1, REDUCE, status=500)
    return since, until, (*args.get("fields", "ad_id").split(","), "date_start", "date_stop")


def months_before(today: date, months: int) -> date:
    total = today.year * 12 + today.month - 1 - months
    return date(total // 12, total % 12 + 1, min(today.day, 28))


def _insights_page(
    state: SandboxState,
    account: Account,
    asked: Asked,
    limit: int,
    args: Args,
    endpoint: str,
) -> bytes:
    strike = _striker(state, endpoint, account.id)
    rows = [] if strike("no_insights") else state.insights(account, *asked)
    after = args.get("after")
    if after and strike("dead_cursor"):
        raise _dead()
    place = _place(after, "0")
    if not place.isdigit():
        raise _dead()
    start = int(place)
    if strike("short_page"):
        limit = max(1, limit // 2)
    part = [] if strike("empty_page") else rows[start : start + limit]
    end = start + len(part)
    cursor, has_next = _cursor(str(end) + ("" if part else AGAIN)), end < len(rows)
    if part and strike("broken_row"):
        part = [b'{"spend": "1.00"}', *part[1:]]
    if strike("cursor_loop"):
        cursor, has_next = after or cursor, True
    return _page(part, cursor, has_next, args)


def _limit(state: SandboxState, endpoint: str, account: str, args: Args) -> int:
    limit = min(int(args.get("limit", DEFAULT_LIMIT)), int(state.settings["most_rows"]))
    much = state.faults.strike("too_much_data", endpoint=endpoint, account=account)
    if much is not None and "days" not in much and limit > int(much.get("rows", 50)):
        raise GraphFault(1, REDUCE, status=500)
    return limit


def _page(rows: list[bytes], after: str, has_next: bool, args: Args) -> bytes:
    """``next`` carries the token, as Meta's does."""
    paging: Object = {"cursors": {"before": _cursor("before"), "after": after}}
    if has_next:
        query = "&".join(f"{name}={value}" for name, value in args.items() if name != "after")
        token = args.get("access_token", TOKEN)
        paging["next"] = f"https://graph.facebook.com/v26.0/next?access_token={token}&{query}&after={after}"
    return b'{"data":[' + b",".join(rows) + b'],"paging":' + json.dumps(paging).encode() + b"}"


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _place(after: str | None, default: str) -> str:
    """What a cursor points to."""
    if not after:
        return default
    try:
        return base64.urlsafe_b64decode(after.encode()).decode().rstrip(AGAIN)
    except ValueError:
        raise _dead() from None


def _striker(state: SandboxState, endpoint: str, account: str) -> Any:
    return lambda name: state.faults.strike(name, endpoint=endpoint, account=account) is not None

"""The switchable faults of this sandbox: what each is; ``flowzz.plugins.sandboxes`` says when it strikes."""

from __future__ import annotations

from flowzz.plugins.sandboxes import Faults

CATALOGUE: dict[str, str] = {
    "token_refused": "190. subcode: 463 expired (default), 460 password changed, 467 revoked …",
    "no_permission": "code: 200 (default), 10, 3, 270 …",
    "wrong_signature": "104, as for a wrong appsecret_proof.",
    "blocked": "368: blocked for a policy.",
    "throttled": "code: 80004 (default), 80000, 17, 4, 613 …; status: 400 (default), 403, 429; "
    "minutes, seconds: what the headers ask for; retry_after: seconds.",
    "usage": "Headers report percent (default 80) of the allowance; minutes: until calls are expected again.",
    "passing_error": "code: 2 (default) or 1, with is_transient; status: 500 (default) or 200.",
    "unknown_passing_error": "A code nobody knows, with is_transient.",
    "refused": "100: a bad parameter.",
    "too_much_data": "500, 'reduce the amount of data', when limit is above rows (default 50) or, given days, "
    "when the range has more.",
    "server_error": "status: 502 (default), 503 …; body: html (default), empty, json.",
    "broken_json": "The body stops in the middle.",
    "reset": "The connection is cut.",
    "slow": "The body comes delay seconds late (default 2), after the headers.",
    "slow_headers": "Nothing comes for delay seconds (default 2).",
    "short_page": "A page has fewer rows than limit; more follow.",
    "empty_page": "A page is empty; more follow.",
    "dead_cursor": "100 for the cursor of a page after the first.",
    "cursor_loop": "A page gives the cursor it was asked with.",
    "inserted_item": "Something appears between two pages, so that an object comes twice.",
    "skipped_item": "Something goes between two pages, so that an object is missed.",
    "removed_item": "The object a cursor points to is deleted between two pages.",
    "broken_row": "The first row of a page has no id.",
    "no_insights": "Insights are data: [].",
    "report_unreplicated": "100/33 for a new report (default: for its first poll).",
    "report_incomplete": "Job Completed at 80 %.",
    "report_failed": "Job Failed, with its reason.",
    "report_skipped": "Job Skipped.",
    "report_stuck": "Job Not Started, for ever.",
    "report_expired": "100/33 for the rows of a report that was ready.",
    "version_ended": "2635: the version is dead.",
    "version_warning": "X-Ad-Api-Version-Warning, and the answer is of another version.",
}
"""Name to meaning. Each also takes ``endpoint`` and ``account``, which narrow it, and the options of ``Trigger``."""

OPTIONS: dict[str, set[str]] = {
    "token_refused": {"subcode"},
    "no_permission": {"code"},
    "throttled": {"code", "status", "minutes", "seconds", "retry_after"},
    "usage": {"percent", "minutes"},
    "passing_error": {"code", "status"},
    "too_much_data": {"rows", "days"},
    "server_error": {"status", "body"},
    "slow": {"delay"},
    "slow_headers": {"delay"},
}
ENDPOINTS = (
    "me",
    "account",
    "accounts",
    "campaigns",
    "adsets",
    "ads",
    "insights",
    "create_report",
    "report",
    "report_rows",
)


def facebook_faults() -> Faults:
    """All of them, none on."""
    return Faults(CATALOGUE, OPTIONS, frozenset({"endpoint", "account"}))

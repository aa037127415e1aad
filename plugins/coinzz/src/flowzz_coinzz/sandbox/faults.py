"""The switchable faults of this sandbox: what each is; ``flowzz.plugins.sandboxes`` says when it strikes."""

from __future__ import annotations

from flowzz.plugins.sandboxes import Faults

CATALOGUE: dict[str, str] = {
    "throttled": "429. retry_after: seconds, 'date' for an HTTP date, null for none (default 1).",
    "server_error": "5xx. status: 500, 502, 503 … (default 503); html: true for a web page as body.",
    "unauthorized": "401 with a JSON message.",
    "redirect_to_login": "302 to the login page.",
    "html_page": "A web page with status 200.",
    "slow": "The answer comes delay seconds late (default 2); a POST is carried out all the same.",
    "reset_before": "The connection is cut before anything is done.",
    "reset_after": "The connection is cut after the request was carried out.",
    "success_false": "200 with success: false.",
    "missing_order_hash": "POST /sales answers without order_hash.",
    "truncated_json": "The body stops in the middle.",
    "dotted_keys": "Keys repeat the name of their block: order.order_number.",
    "text_values": "Numbers and booleans are text.",
    "missing_utms": "No utms block.",
    "null_email": "client_email is null.",
    "unknown_label": "Both statuses are labels nobody knows.",
    "feminine_label": "Aprovada for Aprovado, Enviada for Enviado …",
    "deleted": "deleted_at is set.",
    "broken_row": "A row of the pull is not an order.",
    "shifting_rows": "Rows of the pull move after each page. direction: up (skips some; default) or down (repeats).",
    "duplicate_row": "The last row of a page of the pull comes again on the next one.",
}
"""Name to meaning. Each also takes the trigger options: see ``Trigger``."""

SHAPES = ("missing_utms", "null_email", "unknown_label", "feminine_label", "deleted", "text_values", "dotted_keys")
OPTIONS: dict[str, set[str]] = {
    "throttled": {"retry_after"},
    "server_error": {"status", "html"},
    "slow": {"delay"},
    "shifting_rows": {"direction"},
}


def coinzz_faults() -> Faults:
    """All of them, none on."""
    return Faults(CATALOGUE, OPTIONS)

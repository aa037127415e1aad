"""The switchable faults: what each is, and when it strikes."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
OPTIONS = {
    "throttled": {"retry_after"},
    "server_error": {"status", "html"},
    "slow": {"delay"},
    "shifting_rows": {"direction"},
}
TRIGGERS = {"times", "every", "after", "seconds"}


class UnknownFault(ValueError):
    """No fault, or no option of it, has that name."""


@dataclass(slots=True)
class Trigger:
    """When a fault strikes: at every eligible call, unless narrowed.

    ``after``: not the first so many. ``every``: only each so-many-th. ``times``: at most so often.
    ``seconds``: only so long from the moment it was switched on.
    """

    options: Mapping[str, Any]
    since: float = field(default_factory=time.monotonic)
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        past = self.seen - int(self.options.get("after", 0))
        if past <= 0 or past % int(self.options.get("every", 1)):
            return False
        if "times" in self.options and self.struck >= int(self.options["times"]):
            return False
        if "seconds" in self.options and time.monotonic() - self.since > float(self.options["seconds"]):
            return False
        self.struck += 1
        return True


class Faults:
    """The faults that are on. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: dict[str, Trigger] = {}

    def switch(self, wanted: Mapping[str, Any]) -> None:
        """Exactly these are on: name to options, or to true. Raises UnknownFault and changes nothing."""
        on: dict[str, Trigger] = {}
        for name, options in wanted.items():
            if name not in CATALOGUE:
                raise UnknownFault(f"no fault is named {name!r}; there are {', '.join(sorted(CATALOGUE))}")
            given = {} if options is True else options
            if not isinstance(given, Mapping):
                raise UnknownFault(f"{name}: expected true or an object of options, got {options!r}")
            unknown = set(given) - TRIGGERS - OPTIONS.get(name, set())
            if unknown:
                raise UnknownFault(f"{name}: no option is named {', '.join(sorted(unknown))}")
            on[name] = Trigger(dict(given))
        with self._lock:
            self._on = on

    def strike(self, name: str) -> Mapping[str, Any] | None:
        """The fault's options when it strikes now, else None. Each call counts as an eligible one."""
        with self._lock:
            trigger = self._on.get(name)
            return trigger.options if trigger is not None and trigger.strikes() else None

    def show(self) -> dict[str, Any]:
        """What is on, with how often it struck."""
        with self._lock:
            return {name: {**t.options, "struck": t.struck} for name, t in self._on.items()}

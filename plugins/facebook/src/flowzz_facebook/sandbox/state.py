"""What the sandbox remembers: accounts, reports, settings and what was asked of it. In memory."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flowzz.clock import now
from flowzz_facebook.sandbox.faults import facebook_faults
from flowzz_facebook.sandbox.world import Account

TOKEN = "EAAgraphSandboxSandboxSandboxSandbox"  # noqa: S105 - opens nothing but this sandbox
APP_SECRET = "sandboxsecretsandboxsecret"  # noqa: S105 - nor does this
PROOF = hmac.new(APP_SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
DEFAULT_ACCOUNTS = (("America/Sao_Paulo", "BRL"), ("Asia/Tokyo", "JPY"))
KEPT_REQUESTS = 5000


@dataclass
class ReportRun:
    """A report run, and how often it was polled."""

    id: str
    account: str
    since: date
    until: date
    fields: tuple[str, ...]
    polls: int = 0


class SandboxState:
    """Everything of one sandbox. Each public method is atomic."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.faults = facebook_faults()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.faults.switch({})
            self.accounts: dict[str, Account] = {}
            for timezone, currency in DEFAULT_ACCOUNTS:
                self.add_account(timezone, currency)
            self.settings: dict[str, Any] = {
                "require_proof": False,
                "versions": ["v25.0", "v26.0"],
                "ended_versions": ["v22.0", "v23.0", "v24.0"],
                "most_rows": 1000,
                "not_started_polls": 0,
                "running_polls": 1,
                "usage_headers": True,
                "allowance": None,
                "allowance_seconds": 60.0,
                "block_seconds": 60.0,
            }
            self.ahead = timedelta(0)
            self.reports: dict[str, ReportRun] = {}
            self.calls: Counter[str] = Counter()
            self.statuses: Counter[int] = Counter()
            self.requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
            self._recent: dict[str, deque[float]] = {}
            self._blocked_until: dict[str, float] = {}
            self._rows: dict[Any, list[bytes]] = {}

    def configure(self, wanted: Mapping[str, Any]) -> None:
        """Change settings. Raises ValueError naming one that does not exist."""
        with self.lock:
            unknown = set(wanted) - set(self.settings)
            if unknown:
                raise ValueError(
                    f"no setting is named {', '.join(sorted(unknown))}; there are {', '.join(self.settings)}"
                )
            self.settings.update(wanted)

    def now(self) -> datetime:
        """The sandbox's own time: ours, and what it was put ahead."""
        return now() + self.ahead

    def add_account(self, timezone: str, currency: str) -> Account:
        with self.lock:
            account = Account(len(self.accounts) + 1, timezone, currency)
            self.accounts[account.id] = account
            return account

    def account(self, identifier: str) -> Account:
        """Raises KeyError for an unknown one."""
        with self.lock:
            return self.accounts[identifier]

    def changed(self) -> None:
        """Numbers that were worked out are not true any more."""
        with self.lock:
            self._rows.clear()

    def insights(self, account: Account, since: date, until: date, fields: tuple[str, ...]) -> list[bytes]:
        """The rows of a range, worked out once."""
        with self.lock:
            at = self.now()
            key = (account.id, since, until, fields, at.date())
            if key not in self._rows:
                self._rows[key] = list(account.rows(since, until, at, fields))
            return self._rows[key]

    def start_report(self, account: str, since: date, until: date, fields: tuple[str, ...]) -> ReportRun:
        with self.lock:
            run = ReportRun(str(2_000_000_000_000_001 + len(self.reports)), account, since, until, fields)
            self.reports[run.id] = run
            return run

    def record(self, entry: dict[str, Any]) -> None:
        with self.lock:
            self.calls[entry["endpoint"]] += 1
            self.statuses[entry["status"]] += 1
            self.requests.append(entry)

    def allowance(self, account: str) -> tuple[float, float]:
        """Percent used by this call and those before, and seconds it is blocked: 0 when it is let through.

        A call while blocked makes the block longer.
        """
        with self.lock:
            most = self.settings["allowance"]
            if most is None:
                return 0.0, 0.0
            at = time.monotonic()
            if at < self._blocked_until.get(account, 0.0):
                self._blocked_until[account] += float(self.settings["block_seconds"]) / 2
                return 100.0, self._blocked_until[account] - at
            recent = self._recent.setdefault(account, deque())
            while recent and at - recent[0] >= float(self.settings["allowance_seconds"]):
                recent.popleft()
            recent.append(at)
            if len(recent) > most:
                self._blocked_until[account] = at + float(self.settings["block_seconds"])
                return 100.0 * len(recent) / most, float(self.settings["block_seconds"])
            return 100.0 * len(recent) / most, 0.0

    def stats(self) -> dict[str, Any]:
        with self.lock:
            return {
                "calls": sum(self.calls.values()),
                "byEndpoint": dict(self.calls),
                "byStatus": {str(status): times for status, times in sorted(self.statuses.items())},
                "reports": len(self.reports),
                "accounts": {
                    one.id: {edge: len(listed) for edge, listed in one.edges.items()} for one in self.accounts.values()
                },
            }

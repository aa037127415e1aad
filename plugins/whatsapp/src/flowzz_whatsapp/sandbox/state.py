"""What the sandbox remembers: templates, messages, windows and limits. In memory, one lock, one blueprint each.

Its clock runs with ours and can be moved on, so that windows close and limits recover without waiting.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flowzz.clock import now
from flowzz_whatsapp.numbers import match_key
from flowzz_whatsapp.sandbox.faults import whatsapp_faults

TOKEN = "EAAsandboxSandboxSandboxSandboxSandboxSandbox"  # noqa: S105 - opens nothing but this sandbox
APP_SECRET = "5a4d0b0c5a4d0b0c5a4d0b0c5a4d0b0c"  # noqa: S105 - signs nothing but this sandbox's webhooks
VERIFY_TOKEN = "sandbox-verify-token"  # noqa: S105 - as above
PHONE_NUMBER_ID = "500000000000001"
WABA_ID = "400000000000001"
BURST = 45
PAIR_PERIOD_S = 6.0
WINDOW = timedelta(hours=24)
DAY = timedelta(hours=24)

SETTINGS: dict[str, Any] = {
    "webhook_url": None,
    "webhook_urls": {},
    "statuses": ["sent", "delivered", "read"],
    "status_delay": [0.0, 0.02],
    "delivery": {},
    "window": "sync",
    "rate": 80,
    "pair_limit": True,
    "daily_users": None,
    "management_rate": 200,
    "throttle_status": 429,
    "retry_after": None,
    "regain_minutes": None,
    "parameter_rules": False,
    "short_area_codes": [],
    "username_users": [],
    "test_recipients": None,
    "recipients": {},
    "check_proof": True,
}

Document = dict[str, Any]


class SandboxState:
    """Everything of one sandbox. Each public method is atomic."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.faults = whatsapp_faults()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.faults.switch({})
            self.settings: dict[str, Any] = {**SETTINGS}
            self.templates: dict[tuple[str, str], Document] = {}
            self.messages: list[Document] = []
            self.deliveries: list[Document] = []
            self.calls: Counter[str] = Counter()
            self.results: Counter[int] = Counter()
            self.subscribed: set[str] = set()
            self.stopped: set[tuple[str, str]] = set()
            self._windows: dict[tuple[str, str], datetime] = {}
            self._ahead = timedelta(0)
            self._stopped_at: datetime | None = None
            self._sent: defaultdict[str, deque[datetime]] = defaultdict(deque)
            self._pairs: dict[tuple[str, str], tuple[float, datetime]] = {}
            self._users: dict[str, dict[str, datetime]] = defaultdict(dict)
            self._managed: deque[datetime] = deque()
            self.add_template({"name": "hello_world", "language": "en_US"})
            self.add_template({"name": "pedido_enviado", "parameters": ["nome", "codigo"]})
            self.add_template({"name": "relatorio_pronto", "parameters": 3})

    def configure(self, wanted: Mapping[str, Any]) -> None:
        """Change settings. Raises ValueError for a name that is none."""
        unknown = set(wanted) - set(SETTINGS)
        if unknown:
            raise ValueError(f"no setting is named {', '.join(sorted(unknown))}; there are {', '.join(SETTINGS)}")
        with self.lock:
            self.settings |= wanted

    def clock(self) -> datetime:
        """The sandbox's time."""
        with self.lock:
            return (self._stopped_at or now()) + self._ahead

    def move_clock(self, seconds: float, *, stop: bool = False) -> datetime:
        """Move it on by so much; from then on it runs, or stands still until it is moved again."""
        with self.lock:
            moved = self.clock() + timedelta(seconds=seconds)
            at = now()
            self._ahead, self._stopped_at = moved - at, at if stop else None
            return moved

    def add_template(self, given: Mapping[str, Any]) -> Document:
        """A template. ``parameters``: a list of names, or how many positional ones (default 0)."""
        parameters = given.get("parameters", 0)
        template = {
            "id": str(3_000_000_000_000_000 + len(self.templates) + 1),
            "name": str(given["name"]),
            "language": str(given.get("language", "pt_BR")),
            "category": str(given.get("category", "UTILITY")),
            "status": str(given.get("status", "APPROVED")),
            "parameter_format": "NAMED" if isinstance(parameters, list) else "POSITIONAL",
            "parameters": parameters,
        }
        with self.lock:
            self.templates[template["name"], template["language"]] = template
        return template

    def heard(self, sender: str, number: str) -> datetime:
        """Somebody wrote to the sender: the window opens. When that was."""
        with self.lock:
            self._windows[sender, match_key(number)] = self.clock()
            return self.clock()

    def window_is_open(self, sender: str, number: str) -> bool:
        with self.lock:
            opened = self._windows.get((sender, match_key(number)))
            return opened is not None and self.clock() - opened < WINDOW

    def over_rate(self, sender: str) -> bool:
        """True when the sender has sent ``rate`` messages in the last second; else this one is counted."""
        with self.lock:
            at, rate, sent = self.clock(), self.settings["rate"], self._sent[sender]
            while sent and at - sent[0] >= timedelta(seconds=1):
                sent.popleft()
            if rate is not None and len(sent) >= rate:
                return True
            sent.append(at)
            return False

    def over_pair(self, sender: str, number: str) -> bool:
        """One message every 6 s to one recipient, with a burst of 45 that borrows from later."""
        with self.lock:
            if not self.settings["pair_limit"]:
                return False
            at, pair = self.clock(), (sender, match_key(number))
            left, since = self._pairs.get(pair, (float(BURST), at))
            left = min(float(BURST), left + (at - since).total_seconds() / PAIR_PERIOD_S)
            if left < 1:
                self._pairs[pair] = (left, at)
                return True
            self._pairs[pair] = (left - 1, at)
            return False

    def over_users(self, sender: str, number: str) -> bool:
        """True when the business has reached its limit of new people in 24 hours."""
        with self.lock:
            limit, at = self.settings["daily_users"], self.clock()
            if limit is None or self.window_is_open(sender, number):
                return False
            users = {key: since for key, since in self._users[sender].items() if at - since < DAY}
            self._users[sender] = users
            if match_key(number) not in users and len(users) >= limit:
                return True
            users.setdefault(match_key(number), at)
            return False

    def over_management(self) -> bool:
        """True when an hour has seen ``management_rate`` calls that manage the account."""
        with self.lock:
            at, rate = self.clock(), self.settings["management_rate"]
            while self._managed and at - self._managed[0] >= timedelta(hours=1):
                self._managed.popleft()
            if rate is not None and len(self._managed) >= rate:
                return True
            self._managed.append(at)
            return False

    def take(self, message: Document) -> Document:
        """Keep a message that is accepted: it has a wamid from now on."""
        with self.lock:
            message["wamid"] = f"wamid.SANDBOX{len(self.messages) + 1:08d}"
            message["taken_at"] = self.clock()
            self.messages.append(message)
            return message

    def message(self, wamid: str) -> Document:
        """Raises KeyError for an unknown one."""
        with self.lock:
            found = next((one for one in self.messages if one["wamid"] == wamid), None)
            if found is None:
                raise KeyError(wamid)
            return found

    def phones(self) -> dict[str, list[Document]]:
        """What each phone received, oldest first: the way to count duplicates."""
        with self.lock:
            found: dict[str, list[Document]] = defaultdict(list)
            for message in self.messages:
                shown = {key: message[key] for key in ("wamid", "sender", "type", "text", "template", "correlation")}
                found[message["to"]].append(shown)
            return dict(found)

    def stats(self) -> Document:
        with self.lock:
            return {
                "calls": sum(self.calls.values()),
                "byEndpoint": dict(self.calls),
                "byStatus": {str(status): times for status, times in sorted(self.results.items())},
                "messages": len(self.messages),
                "deliveries": len(self.deliveries),
            }

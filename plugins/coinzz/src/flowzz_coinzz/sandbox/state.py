"""What the sandbox remembers: orders, settings and what was asked of it. In memory, one lock, one blueprint each."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flowzz.clock import now
from flowzz_coinzz.coerce import SAO_PAULO
from flowzz_coinzz.sandbox.faults import coinzz_faults
from flowzz_coinzz.sandbox.lives import CREATED, LIVES, move, stage_of
from flowzz_coinzz.sandbox.payloads import Document, bent, order_document

TOKEN = "1|sandboxSandboxSandboxSandboxSandboxSandboxSand"  # noqa: S105 - opens nothing but this sandbox
FIRST_ORDER_AT = datetime(2026, 3, 2, 9, 0, tzinfo=SAO_PAULO)
OFFER = "offq7k2m1"


class SandboxState:
    """Everything of one sandbox. Each public method is atomic."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.faults = coinzz_faults()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.faults.switch({})
            self.orders: list[dict[str, Any]] = []
            self.settings: dict[str, Any] = {
                "pull_path": "sales",
                "per_page": 10,
                "rate_limit": None,
                "rate_window": 60.0,
                "refused_zip_codes": [],
                "webhooks": {},
            }
            self.calls: Counter[str] = Counter()
            self.pages: Counter[int] = Counter()
            self.statuses: Counter[int] = Counter()
            self.deliveries: list[dict[str, Any]] = []
            self._recent: deque[float] = deque()
            self._carried: Document | None = None

    def configure(self, wanted: Mapping[str, Any]) -> None:
        """Change settings. Raises ValueError naming one that does not exist."""
        with self.lock:
            unknown = set(wanted) - set(self.settings)
            if unknown:
                raise ValueError(
                    f"no setting is named {', '.join(sorted(unknown))}; there are {', '.join(self.settings)}"
                )
            self.settings.update(wanted)

    def seed(self, count: int, *, mixed: bool = False, days: int | None = None) -> list[str]:
        """Add ``count`` old orders; the n-th of a sandbox is always the same. Their numbers.

        They are new and unchanged since they were made, or ``mixed``: as far along as ``lives.MIXTURE`` says. With
        ``days`` they were made during the last so many days, the last of them now.
        """
        with self.lock:
            made = [self.add({}) for _ in range(count)]
            at = now().astimezone(SAO_PAULO)
            for place, order in enumerate(made, 1):
                if days is not None:
                    order["date_order"] = _written(at - timedelta(days=days) * (count - place) / count)
                if mixed:
                    stage = stage_of(order["index"])
                    order["payment_method"] = stage.method
                    for status, shipping in LIVES[stage.life][: stage.steps]:
                        move(order, status, shipping)
                order["updated_at"] = datetime.fromisoformat(order["date_order"]).replace(tzinfo=SAO_PAULO)
            return [order["number"] for order in made]

    def add(self, given: Mapping[str, Any]) -> dict[str, Any]:
        with self.lock:
            index = len(self.orders) + 1
            order: dict[str, Any] = {
                "index": index,
                "number": f"ord{index:06d}",
                "document": f"{index:011d}",
                "offer_hash": OFFER,
                "payment_method": "afterpay",
                "price": round(97 + index * 1.01, 2),
                "date_order": _written(FIRST_ORDER_AT + timedelta(minutes=7 * index)),
                "order_status": CREATED[0],
                "shipping_status": CREATED[1],
                "tracking_code": None,
                "step": 0,
                "updated_at": now(),
                **given,
            }
            self.orders.append(order)
            return order

    def order(self, number: str) -> dict[str, Any]:
        """Raises KeyError for an unknown number."""
        with self.lock:
            return next(order for order in self.orders if order["number"] == number)

    def advance(self, number: str, life: str, steps: int) -> list[Document]:
        """Lead an order ``steps`` further along ``life``; the webhook of each step, as the order stood then.

        The first step of a new order is its creation. Raises KeyError for an unknown order or life.
        """
        with self.lock:
            order = next((order for order in self.orders if order["number"] == number), None)
            if order is None:
                raise KeyError(number)
            sent = []
            for status, shipping in LIVES[life][order["step"] : order["step"] + steps]:
                move(order, status, shipping)
                order["updated_at"] = now()
                sent.append(bent(order_document(order), self.faults))
            return sent

    def page(self, number: int, per_page: int, since: datetime | None) -> tuple[list[Document], int]:
        """A page of the pull, newest first, and how many rows there are in all."""
        with self.lock:
            self.pages[number] += 1
            listed = [order for order in reversed(self.orders) if since is None or order["updated_at"] >= since]
            part = listed[(number - 1) * per_page : number * per_page]
            rows = [bent(order_document(order), self.faults) for order in part]
            if rows and self.faults.strike("broken_row") is not None:
                rows[0] = {"order": {"order_number": None, "order_status": "Aprovado"}}
            rows = self._carry_over(rows)
            total = len(listed)
            self._shift(part)
            return rows, total

    def _carry_over(self, rows: list[Document]) -> list[Document]:
        carried, self._carried = self._carried, None
        if rows and self.faults.strike("duplicate_row") is not None:
            self._carried = rows[-1]
        return [*([carried] if carried else []), *rows]

    def _shift(self, part: list[dict[str, Any]]) -> None:
        """Move rows between two pages. The listing is newest first, so its head is the list's end."""
        shift = self.faults.strike("shifting_rows") if part else None
        if shift is None:
            return
        if shift.get("direction") == "down":
            self.add({})
        else:
            self.orders.insert(0, self.orders.pop())

    def count(self, endpoint: str) -> None:
        with self.lock:
            self.calls[endpoint] += 1

    def over_limit(self) -> tuple[int, int, int] | None:
        """(limit, remaining, seconds to wait or 0) of this call; None without a limit."""
        with self.lock:
            limit = self.settings["rate_limit"]
            if limit is None:
                return None
            window, at = float(self.settings["rate_window"]), time.monotonic()
            while self._recent and at - self._recent[0] >= window:
                self._recent.popleft()
            if len(self._recent) >= limit:
                return limit, 0, max(1, round(window - (at - self._recent[0])))
            self._recent.append(at)
            return limit, limit - len(self._recent), 0

    def stats(self) -> dict[str, Any]:
        with self.lock:
            return {
                "calls": sum(self.calls.values()),
                "byEndpoint": dict(self.calls),
                "byPage": {str(page): times for page, times in sorted(self.pages.items())},
                "byStatus": {str(status): times for status, times in sorted(self.statuses.items())},
                "orders": len(self.orders),
                "orderNumbers": [order["number"] for order in self.orders],
                "deliveries": len(self.deliveries),
            }


def _written(moment: datetime) -> str:
    """As Coinzz writes a moment: on the clock of São Paulo, without saying so."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")

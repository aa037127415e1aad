"""The ad accounts of the sandbox: their structure, and numbers that are the same each time they are asked for.

Everything follows from the indexes of account, object and day. What an ad did on a day grows until the day is 28 days
old, as Meta's restated numbers do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MADE_AT = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
SETTLED_AFTER = 28
OBJECTIVES = ("OUTCOME_SALES", "OUTCOME_TRAFFIC", "OUTCOME_LEADS")
EDGES = ("campaigns", "adsets", "ads")
HIDDEN = ("DELETED", "ARCHIVED")

Object = dict[str, Any]


@dataclass
class Account:
    """An ad account. ``edges`` holds its objects as Meta sends them, each with ``updated_time`` as text."""

    number: int
    timezone: str
    currency: str
    status: int = 1
    edges: dict[str, list[Object]] = field(default_factory=lambda: {edge: [] for edge in EDGES})

    @property
    def id(self) -> str:
        return str(1_000_000_000_000_000 + self.number)

    def fields(self) -> Object:
        return {
            "id": f"act_{self.id}",
            "account_id": self.id,
            "name": f"Conta Exemplo {self.number}",
            "account_status": self.status,
            "currency": self.currency,
            "timezone_name": self.timezone,
            "timezone_id": 25,
            "timezone_offset_hours_utc": -3,
            "amount_spent": str(123_456 * self.number),
            "balance": "9900",
            "created_time": self.written(MADE_AT),
        }

    def written(self, moment: datetime) -> str:
        """As Meta writes it: the account's time, an offset without a colon."""
        return moment.astimezone(ZoneInfo(self.timezone)).strftime("%Y-%m-%dT%H:%M:%S%z")

    def grow(self, campaigns: int, ad_sets_each: int, ads_each: int) -> None:
        for _ in range(campaigns):
            campaign = self.add("campaigns", {})
            for _ in range(ad_sets_each):
                ad_set = self.add("adsets", {"campaign_id": campaign["id"]})
                for _ in range(ads_each):
                    self.add("ads", {"campaign_id": campaign["id"], "adset_id": ad_set["id"]})

    def add(self, edge: str, given: Object, at: datetime = MADE_AT) -> Object:
        listed = self.edges[edge]
        index = len(listed) + 1
        made: Object = {
            "id": str(120_000_000_000_000_000 + self.number * 10**10 + EDGES.index(edge) * 10**9 + index),
            "account_id": self.id,
            "name": f"{edge[:-1].capitalize()} {index:05d}",
            "status": "ACTIVE",
            "configured_status": "ACTIVE",
            "effective_status": "ACTIVE",
            "created_time": self.written(at),
            "updated_time": self.written(at + timedelta(minutes=index)),
            **_details(edge, index, self.written(at)),
            **given,
        }
        listed.append(made)
        return made

    def change(self, edge: str, identifier: str, changes: Object, at: datetime) -> Object:
        """Raises KeyError for an unknown object."""
        found = next((one for one in self.edges[edge] if one["id"] == identifier), None)
        if found is None:
            raise KeyError(identifier)
        found.update(changes, updated_time=self.written(at))
        return found

    def rows(self, since: date, until: date, at: datetime, fields: tuple[str, ...]) -> Iterator[bytes]:
        """Insights of each ad and day, as JSON; days to come have none, nor have hidden ads."""
        today = at.astimezone(ZoneInfo(self.timezone)).date()
        days = [since + timedelta(days=place) for place in range((min(until, today) - since).days + 1)]
        for index, ad in enumerate(self.edges["ads"], start=1):
            if ad["effective_status"] in HIDDEN:
                continue
            for day in days:
                row = self.row(index, ad, day, min((today - day).days, SETTLED_AFTER))
                if row is not None:
                    yield json.dumps({name: row[name] for name in fields if name in row}).encode()

    def row(self, index: int, ad: Object, day: date, age: int) -> Object | None:
        seed = (index * 7919 + day.toordinal() * 104_729 + self.number * 31) % 10_007
        if seed % 11 == 0:
            return None
        shown, clicks = 1000 + seed * 3, seed % 200 + 1
        cents = (1500 + seed) * (100 + age) // (100 + SETTLED_AFTER)
        row: Object = {
            **{name: ad[name] for name in ("account_id", "campaign_id", "adset_id")},
            "account_currency": self.currency,
            "campaign_name": f"Campaign of {ad['name']}",
            "adset_name": f"Adset of {ad['name']}",
            "ad_id": ad["id"],
            "ad_name": ad["name"],
            "spend": f"{cents / 100:.2f}",
            "impressions": str(shown),
            "reach": str(shown * 4 // 5),
            "frequency": "1.25",
            "clicks": str(clicks),
            "inline_link_clicks": str(clicks * 4 // 5),
            "cpc": f"{cents / 100 / clicks:.6f}",
            "cpm": f"{cents * 10 / shown:.6f}",
            "ctr": f"{clicks * 100 / shown:.6f}",
            "actions": [{"action_type": "link_click", "value": str(clicks * 4 // 5)}],
            "date_start": day.isoformat(),
            "date_stop": day.isoformat(),
        }
        if seed % 7 == 0:
            del row["clicks"], row["cpc"], row["ctr"]
        if seed % 3:
            _sell(row, seed % 4 * (age + 1) // (SETTLED_AFTER + 1) + 1, cents)
        return row


def _sell(row: Object, purchases: int, cents: int) -> None:
    """One purchase is reported under several types, as Meta does; the numbers of some differ a little."""
    value = f"{purchases * 197.9:.2f}"
    for action_type, count in (
        ("purchase", purchases),
        ("offsite_conversion.fb_pixel_purchase", purchases),
        ("omni_purchase", purchases),
        ("onsite_conversion.purchase", max(purchases - 1, 0)),
    ):
        row["actions"].append({"action_type": action_type, "value": str(count)})
        row.setdefault("action_values", []).append({"action_type": action_type, "value": value})
    row["purchase_roas"] = [{"action_type": "omni_purchase", "value": f"{purchases * 19790 / cents:.6f}"}]


def _details(edge: str, index: int, at: str) -> Object:
    if edge == "campaigns":
        return {
            "objective": OBJECTIVES[index % 3],
            "buying_type": "AUCTION",
            "bid_strategy": "LOWEST_COST_WITHOUT_CAP",
            "special_ad_categories": [],
            "start_time": at,
            **({"daily_budget": str(5000 + index)} if index % 2 else {"lifetime_budget": str(900_000 + index)}),
        }
    if edge == "adsets":
        return {
            "billing_event": "IMPRESSIONS",
            "optimization_goal": "OFFSITE_CONVERSIONS",
            "bid_amount": str(300 + index),
            "attribution_spec": [{"event_type": "CLICK_THROUGH", "window_days": 7}],
            "promoted_object": {"pixel_id": "1", "custom_event_type": "PURCHASE"},
            "targeting": {"geo_locations": {"countries": ["BR"]}, "age_min": 18 + index % 10},
            "start_time": at,
        }
    return {
        "creative": {"id": str(230_000_000_000_000_000 + index)},
        "tracking_specs": [{"action.type": ["offsite_conversion"], "fb_pixel": ["1"]}],
    }

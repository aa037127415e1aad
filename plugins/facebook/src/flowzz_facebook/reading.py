"""What Meta sends, as rows of our tables (reference §3).

Metrics are text, spend in major units; budgets are text in minor units. An absent key means not set or not reported and
becomes NULL, never 0. Whatever cannot be read is told as a problem and left NULL; a row without its own id is
no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from flowzz.store.columns import MONEY_LIMIT, MONEY_STEP

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WITHOUT_MINOR_UNIT = frozenset({"CLP", "COP", "CRC", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "TWD", "VND"})
"""Currencies whose budgets Meta gives in whole units: those of offset 1 in its list of ad account currencies."""

LARGEST = 2**63 - 1

Row = dict[str, Any]
Reader = Callable[[Mapping[str, Any], Row, "Problems"], None]


@dataclass(slots=True)
class Problems:
    """What could not be read on one page, each with the row's place."""

    place: int = 0
    said: list[str] = field(default_factory=list)

    def add(self, name: str, value: Any, expected: str) -> None:
        self.said.append(f"row {self.place}: {name}: expected {expected}, got {str(value)[:60]!r}")


class Unreadable(ValueError):
    """Its message says what was expected."""


def text(value: Any) -> str | None:
    """Text that both databases take: PostgreSQL keeps no NUL, UTF-8 no lone surrogate."""
    if type(value) is str and value.isascii() and "\x00" not in value:
        return value or None
    if value is None or value == "":
        return None
    if isinstance(value, Mapping | list):
        raise Unreadable("text")
    cleaned = str(value).replace("\x00", "")
    return cleaned if cleaned.isascii() else cleaned.encode("utf-8", "replace").decode()


def whole(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise Unreadable("a whole number") from None
    if isinstance(value, float | bool) or abs(number) > LARGEST:
        raise Unreadable("a whole number")
    return number


def amount(value: Any) -> Decimal | None:
    """Exact to four decimals. Floats are refused: Meta sends text."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(value)
        if not isinstance(value, float | bool) and number.is_finite() and abs(number) < MONEY_LIMIT:
            return number.quantize(MONEY_STEP)
    except (TypeError, ValueError, InvalidOperation):
        pass
    raise Unreadable("an amount")


def moment(value: Any) -> datetime | None:
    """``2026-03-01T10:00:00-0300``; the offset has no colon."""
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("a time such as 2026-03-01T10:00:00-0300") from None
    return found


def document(value: Any) -> Any:
    """JSON as it came; NULL for nothing. Nested too deeply to have been read, it would not be here."""
    return value if value not in (None, "", [], {}) else None


def minor(currency: str | None) -> Callable[[Any], Decimal | None]:
    """Reads amounts in the currency's minor unit."""
    places = 0 if currency in WITHOUT_MINOR_UNIT else -2

    def read(value: Any) -> Decimal | None:
        units = whole(value)
        if units is None:
            return None
        return amount(str(Decimal(units).scaleb(places)))

    return read


Column = tuple[str, str, Callable[[Any], Any]]


def columns_of(kind: str, currency: str | None) -> tuple[Column, ...]:
    """For each column of the kind's table: its name, Meta's field, and how to read it."""
    money = minor(currency)
    shared: tuple[Column, ...] = tuple(
        (name, name, text) for name in ("name", "status", "configured_status", "effective_status")
    )
    times: tuple[Column, ...] = (("created_at", "created_time", moment), ("updated_at", "updated_time", moment))
    budgets: tuple[Column, ...] = tuple(
        (name, name, money) for name in ("daily_budget", "lifetime_budget", "budget_remaining")
    )
    if kind == "campaigns":
        return (
            ("campaign_id", "id", text),
            *shared,
            *((name, name, text) for name in ("objective", "buying_type", "bid_strategy")),
            *budgets,
            ("spend_cap", "spend_cap", money),
            ("special_ad_categories", "special_ad_categories", document),
            ("started_at", "start_time", moment),
            ("stops_at", "stop_time", moment),
            *times,
        )
    if kind == "adsets":
        return (
            ("ad_set_id", "id", text),
            ("campaign_id", "campaign_id", text),
            *shared,
            *((name, name, text) for name in ("bid_strategy", "billing_event", "optimization_goal")),
            *budgets,
            ("bid_amount", "bid_amount", money),
            *((name, name, document) for name in ("attribution_spec", "promoted_object", "targeting")),
            ("started_at", "start_time", moment),
            ("stops_at", "end_time", moment),
            *times,
        )
    return (
        ("ad_id", "id", text),
        ("campaign_id", "campaign_id", text),
        ("ad_set_id", "adset_id", text),
        *shared,
        ("creative_id", "creative", _creative),
        ("tracking_specs", "tracking_specs", document),
        *times,
    )


def _creative(value: Any) -> str | None:
    return text(value.get("id")) if isinstance(value, Mapping) else text(value)


def structure_rows(
    found: list[Any], columns: tuple[Column, ...], company: str, account: str
) -> tuple[list[Row], list[str], int]:
    """The rows, one an id and sorted by it; the problems; and how many of ``found`` were no row at all."""
    problems, rows, lost = Problems(), {}, 0
    identifier = columns[0][0]
    for problems.place, item in enumerate(found, start=1):
        row: Row = {"company_id": company, "account_id": account}
        if isinstance(item, Mapping):
            for name, key, read in columns:
                row[name] = _read(read, item, key, problems)
        if not row.get(identifier):
            problems.add(identifier, item, "an object with an id")
            lost += 1
            continue
        row["updated_at"] = row["updated_at"] or EPOCH
        rows[row[identifier]] = row
    return [rows[key] for key in sorted(rows)], problems.said, lost


def account_row(found: Mapping[str, Any], company: str, account: str) -> tuple[Row, list[str]]:
    """The ad account's row. Without a time zone it is UTC, and a problem."""
    problems = Problems(place=1)

    def get(key: str, read: Callable[[Any], Any]) -> Any:
        return _read(read, found, key, problems)

    currency = get("currency", text)
    money = minor(currency)
    zone = get("timezone_name", text)
    if zone is None:
        problems.add("timezone_name", None, "a time zone; days are counted in UTC")
    row = {
        "company_id": company,
        "account_id": account,
        "name": get("name", text),
        "account_status": get("account_status", whole),
        "disable_reason": get("disable_reason", whole),
        "currency": currency,
        "timezone": zone or "UTC",
        "amount_spent": get("amount_spent", money),
        "balance": get("balance", money),
        "created_at": get("created_time", moment),
    }
    return row, problems.said


_INSIGHTS: tuple[Column, ...] = (
    ("campaign_id", "campaign_id", text),
    ("ad_set_id", "adset_id", text),
    ("campaign_name", "campaign_name", text),
    ("ad_set_name", "adset_name", text),
    ("ad_name", "ad_name", text),
    ("currency", "account_currency", text),
    ("spend", "spend", amount),
    ("impressions", "impressions", whole),
    ("reach", "reach", whole),
    ("clicks", "clicks", whole),
    ("link_clicks", "inline_link_clicks", whole),
)


def insights_rows(found: list[Any], company: str, account: str, action_type: str) -> tuple[list[Row], list[str], int]:
    """The rows, one an ad and day and sorted by both; the problems; and how many of ``found`` were no row at all.

    Of the overlapping purchase types exactly ``action_type`` counts (reference §3.4).
    """
    problems, rows, lost = Problems(), {}, 0
    for problems.place, item in enumerate(found, start=1):
        key = _ad_and_day(item)
        if key is None:
            problems.add("ad_id, date_start", item, "an ad and one day")
            lost += 1
            continue
        row: Row = {"company_id": company, "ad_id": key[0], "day": key[1], "account_id": account}
        try:
            for name, meta, read in _INSIGHTS:
                row[name] = read(item.get(meta))
        except Unreadable:
            for name, meta, read in _INSIGHTS:
                row[name] = _read(read, item, meta, problems)
        row["purchases"] = _action(item, "actions", action_type, problems)
        row["purchase_value"] = _action(item, "action_values", action_type, problems)
        row["purchase_action_type"] = action_type
        rows[key] = row
    return [rows[key] for key in sorted(rows)], problems.said, lost


_day = lru_cache(maxsize=2048)(date.fromisoformat)


def _ad_and_day(item: Any) -> tuple[str, date] | None:
    if not isinstance(item, dict) or item.get("date_start") != item.get("date_stop"):
        return None
    try:
        ad, day = text(item.get("ad_id")), _day(item["date_start"])
    except (KeyError, TypeError, ValueError):
        return None
    return (ad, day) if ad else None


def _action(item: Mapping[str, Any], key: str, action_type: str, problems: Problems) -> Decimal | None:
    listed = item.get(key)
    for action in listed if isinstance(listed, list) else ():
        if isinstance(action, dict) and action.get("action_type") == action_type:
            found: Decimal | None = _read(amount, action, "value", problems)
            return found
    return None


def _read(read: Callable[[Any], Any], item: Mapping[str, Any], key: str, problems: Problems) -> Any:
    try:
        return read(item.get(key))
    except Unreadable as expected:
        problems.add(key, item.get(key), str(expected))
        return None

"""From what Coinzz sends to our own columns, whatever shape it drifted into (reference §6.3).

Nothing here raises for any JSON. What cannot be read becomes a problem in words and an empty column, because an
order with a broken phone number is still an order. Floats never exist: JSON numbers are read as Decimal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from flowzz_coinzz.coerce import SAO_PAULO, Unreadable
from flowzz_coinzz.fields import AFFILIATION_FIELDS, DETAIL_KEYS, ORDER_FIELDS, SUBSCRIPTION_FIELDS, Field
from flowzz_coinzz.ordering import State
from flowzz_coinzz.vocabulary import canonical, order_group, payment_method, shipping_group

KEY_LIMIT = 191
"""Longest order number, subscription hash, address or product name taken as a key, in characters."""

DETAIL_DEPTH = 20
"""Deepest nesting kept of what is stored as it came; nothing seen is deeper than two."""

Block = Mapping[str, Any]


class Kind(StrEnum):
    """What a webhook is about, told by its shape: Coinzz names no type."""

    ORDER = "order"
    AFFILIATION = "affiliation"
    SUBSCRIPTION = "subscription"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Normalised:
    """``values`` by column; a column whose key was absent, or unreadable, is absent here too.

    ``problems`` says in words what could not be read.
    """

    values: Mapping[str, Any]
    problems: tuple[str, ...] = field(default=())


def parse_json(body: bytes) -> Any:
    """The body as plain JSON with Decimal for numbers; ValueError, in words, when it is none.

    UTF-8 (with or without a mark) is expected; bytes that are not UTF-8 are read as Windows-1252, as old shops send.
    """
    try:
        written = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        written = body.decode("cp1252", "replace")
    try:
        return json.loads(written, parse_float=Decimal, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def block(document: Any, name: str) -> dict[str, Any]:
    """The block ``name`` with its keys bare, be they ``{"order": {"order.number": …}}`` or ``{"order.number": …}``.

    Anything but an object counts as an empty block.
    """
    if not isinstance(document, Mapping):
        return {}
    prefix = f"{name}."
    inner = document.get(name)
    found = {key.removeprefix(prefix): value for key, value in document.items() if str(key).startswith(prefix)}
    if isinstance(inner, Mapping):
        found.update({str(key).removeprefix(prefix): value for key, value in inner.items()})
    return found


def kind_of(document: Any) -> Kind:
    """What ``document`` is about."""
    if block(document, "subscription"):
        return Kind.SUBSCRIPTION
    if block(document, "order") or (isinstance(document, Mapping) and "order_number" in document):
        return Kind.ORDER
    if isinstance(document, Mapping) and ("affiliate_request" in document or "affiliate_email" in document):
        return Kind.AFFILIATION
    return Kind.UNKNOWN


def normalise_order(document: Any) -> Normalised:
    """An order webhook, or a row of the pull, as columns of ``coinzz_orders``."""
    order = block(document, "order")
    if not order and isinstance(document, Mapping):
        order = dict(document)
    fees = order.get("financial_fees")
    blocks = {
        "order": order,
        "client": block(document, "client") or order,
        "utms": block(document, "utms") or order,
        "financial_fees": dict(fees) if isinstance(fees, Mapping) else block(order, "financial_fees"),
    }
    return complete(_read(ORDER_FIELDS, blocks), _details(order))


def complete(read: Normalised, details: Mapping[str, Any] | None = None) -> Normalised:
    """``read`` with everything that follows from it: groups, the day, and an order number that can be a key."""
    values, problems = dict(read.values), list(read.problems)
    number = values.get("order_number")
    if not number:
        problems.append("order.order_number: missing, so this is nobody's order")
    elif len(number) > KEY_LIMIT:
        values["order_number"] = None
        problems.append(f"order.order_number: longer than {KEY_LIMIT} characters")
    if values.get("order_status"):
        values["order_group"] = str(order_group(values["order_status"]))
    if values.get("shipping_status"):
        values["shipping_group"] = str(shipping_group(values["shipping_status"]))
    if values.get("payment_label"):
        values["payment_method"] = str(payment_method(values["payment_label"]))
    if values.get("ordered_at"):
        values["day"] = values["ordered_at"].astimezone(SAO_PAULO).date()
    if values.get("state"):
        values["state"] = values["state"].upper()
    if details:
        values["details"] = dict(details)
    return Normalised(values, tuple(problems))


def normalise_affiliation(document: Any) -> Normalised:
    """An affiliation webhook as columns of ``coinzz_affiliations``."""
    flat = {**document, **block(document, "affiliation")} if isinstance(document, Mapping) else {}
    return _with_required(_read(AFFILIATION_FIELDS, {"affiliation": flat}), "affiliate_email", "product_name")


def normalise_subscription(document: Any) -> Normalised:
    """A subscription webhook as columns of ``coinzz_subscriptions``."""
    names = ("subscription", "order", "client", "general_info")
    return _with_required(
        _read(SUBSCRIPTION_FIELDS, {name: block(document, name) for name in names}), "subscription_hash"
    )


def state_of(values: Mapping[str, Any]) -> State:
    """What of an order decides about order, with the dedupe hash of reference §6.6.

    The hash is made of the normalised values, so the same state in a drifted shape has the same hash.
    """
    deleted = values.get("deleted_at")
    price = values.get("final_price")
    decisive = [
        values.get("order_number"),
        canonical(values.get("order_status") or ""),
        canonical(values.get("shipping_status") or ""),
        values.get("tracking_code"),
        deleted.isoformat() if deleted else None,
        str(price) if price is not None else None,
    ]
    return State(values.get("order_status"), values.get("shipping_status"), deleted is not None, _hash(decisive))


def _read(fields: Iterable[Field], blocks: Mapping[str, Block]) -> Normalised:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for item in fields:
        source = blocks.get(item.block, {})
        key = item.key if item.key in source else next((other for other in item.others if other in source), None)
        if key is None:
            continue
        try:
            values[item.column] = item.read(source[key])
        except Unreadable as error:
            problems.append(f"{item.label}: {error}")
    return Normalised(values, tuple(problems))


def _details(order: Block) -> dict[str, Any]:
    kept = {key: order[key] for key in DETAIL_KEYS if order.get(key) not in (None, "", [], {})}
    return {key: _clean(value) for key, value in kept.items()}


def _clean(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON that both databases take: amounts as text, no NUL, no half surrogates, not bottomless."""
    if depth > DETAIL_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    return str(value) if isinstance(value, Decimal) else value


def _with_required(read: Normalised, *columns: str) -> Normalised:
    values, problems = dict(read.values), list(read.problems)
    for column in columns:
        if not values.get(column):
            problems.append(f"{column}: missing")
        elif len(values[column]) > KEY_LIMIT:
            values[column] = None
            problems.append(f"{column}: longer than {KEY_LIMIT} characters")
    return Normalised(values, tuple(problems))


_SORTED = json.JSONEncoder(sort_keys=True, default=str)


def _hash(value: Any) -> str:
    return hashlib.sha256(_SORTED.encode(value).encode()).hexdigest()

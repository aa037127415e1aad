"""What we ask of Coinzz: its products (to check a token), a page of sales, and to make a sale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from flowzz.jobs.connection import Connection
from flowzz_coinzz.client import CoinzzClient
from flowzz_coinzz.coerce import SAO_PAULO, Unreadable, whole
from flowzz_coinzz.connection import CoinzzConnection
from flowzz_coinzz.errors import ProtocolError, UnknownOutcome

CHECK_TIMEOUT = timedelta(seconds=10)


def check(connection: Connection) -> None:
    """Ask for the products, which one integrator uses to test a token (reference §3.2: plausible, not certain).

    Raises NeedsCredentials, WrongEndpoint, TransientError, Throttled or Refused, each with words a person can act on.
    """
    settings = connection.configured(CoinzzConnection)
    with CoinzzClient(settings, connection.id, read_timeout=CHECK_TIMEOUT, quick_retries=()) as client:
        client.get("products")


@dataclass(frozen=True, slots=True)
class SalesPage:
    """``rows`` as they came. ``is_last`` as far as the answer tells; ``total`` and ``pages`` where it does."""

    rows: list[Any]
    is_last: bool
    total: int | None
    pages: int | None


def sales_page(client: CoinzzClient, page: int, updated_from: datetime | None) -> SalesPage:
    """Page ``page`` (from 1) of the sales updated since ``updated_from`` (None: all).

    ASSUMPTION: endpoint, parameters and envelope are ours (reference §8, part 2), modelled on what the framework
    that Coinzz seems to use would do. Raises what ``CoinzzClient.get`` raises, and ProtocolError for another shape.
    """
    query: dict[str, str | int] = {"page": page, "per_page": client.settings.per_page}
    if updated_from is not None:
        query["updated_from"] = updated_from.astimezone(SAO_PAULO).strftime("%Y-%m-%d %H:%M:%S")
    answer = client.get(client.settings.pull_path, query)
    document = answer.document
    rows = document.get("data") if isinstance(document, Mapping) else document
    if not isinstance(rows, list):
        raise ProtocolError(f"{client.settings.pull_path}: expected a list of sales in data, got {answer.excerpt}")
    meta = _mapping(document, "meta")
    links = _mapping(document, "links")
    pages, total = _count(meta.get("last_page")), _count(meta.get("total"))
    if pages is not None:
        is_last = page >= pages
    elif "next" in links:
        is_last = not links["next"]
    else:
        is_last = len(rows) < client.settings.per_page
    return SalesPage(rows, is_last or not rows, total, pages)


class Address(BaseModel):
    """Field names are Coinzz's own. ``state`` is the two-letter UF, ``zip_code`` eight digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zip_code: str
    street: str
    number: str
    neighborhood: str
    city: str
    state: str
    complement: str | None = None


class Customer(BaseModel):
    """``document`` and ``phone`` are digits only; the phone is area code and number, without 55."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    email: str
    document: str
    phone: str
    address: Address


class NewSale(BaseModel):
    """A sale to make. Cards are left out on purpose: they would bring card data into our scope.

    ``shipping_value`` is sent as given, because its unit is not known (reference §3.1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    offer_hash: str
    payment_method: str
    customer: Customer
    shipping_value: int = 0
    affiliate_email: str | None = None
    discount_coupon: str | None = None


@dataclass(frozen=True, slots=True)
class CreatedSale:
    """One order that a sale made; order bumps make several. ``payment`` holds the pix or bank-slip block."""

    order_hash: str
    status: str | None
    payment: Mapping[str, Any]


def create_sale(client: CoinzzClient, sale: NewSale) -> list[CreatedSale]:
    """Make a sale, once. Use ``sales.create_once``, which remembers that it was sent.

    Raises UnknownOutcome when the sale may exist and its number is not known.
    """
    answer = client.post("sales", sale.model_dump(exclude_none=True))
    data = answer.document.get("data") if isinstance(answer.document, Mapping) else None
    made = [item for item in data or [] if isinstance(item, Mapping)] if isinstance(data, list) else []
    hashes = [item.get("order_hash") for item in made]
    if not made or not all(isinstance(found, str) and found for found in hashes):
        raise UnknownOutcome(f"sales: accepted, but without an order_hash: {answer.excerpt}")
    return [
        CreatedSale(
            str(item["order_hash"]),
            str(item["status"]) if item.get("status") is not None else None,
            {name: item[name] for name in ("pix", "bank_slip") if item.get(name)},
        )
        for item in made
    ]


def _mapping(document: Any, name: str) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(document, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _count(value: Any) -> int | None:
    try:
        return whole(value)
    except Unreadable:
        return None

"""A sale is made at most once, though a second POST would make a second order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from flowzz_coinzz.client import CoinzzClient
from flowzz_coinzz.connection import CoinzzConnection
from flowzz_coinzz.errors import Refused, TransientError, UnknownOutcome
from flowzz_coinzz.models import sale_attempts
from flowzz_coinzz.sales import create_once
from flowzz_coinzz.upstream import Address, Customer, NewSale, create_sale
from support.waiting import eventually

SALE = NewSale(
    offer_hash="offq7k2m1",
    payment_method="afterpay",
    customer=Customer(
        name="Cliente Exemplo",
        email="cliente@example.com",
        document="000.000.001-91",
        phone="11900000000",
        address=Address(
            zip_code="01001000", street="Rua Exemplo", number="100", neighborhood="Centro", city="São Paulo", state="SP"
        ),
    ),
)


@pytest.fixture
def client(each_company: Any) -> Iterator[CoinzzClient]:
    settings = each_company.connection.configured(CoinzzConnection)
    with CoinzzClient(settings, each_company.connection.id) as opened:
        yield opened


@pytest.fixture
def impatient(each_company: Any) -> Iterator[CoinzzClient]:
    """Gives up long before a slow answer comes."""
    settings = each_company.connection.configured(CoinzzConnection)
    with CoinzzClient(settings, each_company.connection.id, read_timeout=timedelta(seconds=0.5)) as opened:
        yield opened


def make(company: Any, client: CoinzzClient, key: str = "cart-1") -> str:
    return create_once(company.store, client, company.id, key, SALE)


def attempt(company: Any) -> Any:
    with company.store.session() as session:
        return session.execute(select(sale_attempts)).mappings().one()


def test_the_same_key_is_one_sale(upstream: Any, each_company: Any, client: CoinzzClient) -> None:
    assert make(each_company, client) == make(each_company, client) == "ord000001"
    assert make(each_company, client, "cart-2") == "ord000002"
    assert upstream.stats()["orders"] == 2


def test_a_second_post_would_make_a_second_order(upstream: Any, client: CoinzzClient) -> None:
    create_sale(client, SALE)
    create_sale(client, SALE)
    assert upstream.stats()["orders"] == 2


def test_a_sale_of_unknown_outcome_is_settled_by_the_sync(
    upstream: Any, each_company: Any, client: CoinzzClient, impatient: CoinzzClient
) -> None:
    upstream.faults(slow={"delay": 1.5, "times": 1})
    with pytest.raises(UnknownOutcome):
        make(each_company, impatient)
    with pytest.raises(UnknownOutcome, match="sent before"):
        make(each_company, client)
    assert attempt(each_company)["state"] == "unknown"
    # Who gives up may be faster than the server that has the request.
    eventually(lambda: upstream.stats()["orders"] == 1)

    each_company.sync()

    assert attempt(each_company)["state"] == "done"
    assert make(each_company, client) == "ord000001"
    assert upstream.stats()["byEndpoint"]["POST sales"] == 1


def test_a_refused_sale_may_be_sent_again(upstream: Any, each_company: Any, client: CoinzzClient) -> None:
    upstream.settings(refused_zip_codes=[["01000000", "01999999"]])
    with pytest.raises(Refused):
        make(each_company, client)
    assert attempt(each_company)["state"] == "refused"
    upstream.settings(refused_zip_codes=[])
    assert make(each_company, client) == "ord000001"


def test_what_was_never_sent_may_be_sent_again(each_store: Any, connected: Any) -> None:
    company = connected(each_store, "http://127.0.0.1:1")
    settings = company.connection.configured(CoinzzConnection)
    with CoinzzClient(settings, company.connection.id) as nowhere:
        for _ in range(2):
            with pytest.raises(TransientError):
                make(company, nowhere)


def test_two_at_once_are_one_sale(upstream: Any, each_company: Any, client: CoinzzClient) -> None:
    """The one that posts does so once the others have been told that somebody does."""
    told = threading.Semaphore(0)

    def wait_for_the_others(_request: httpx.Request) -> None:
        for _ in range(3):
            assert told.acquire(timeout=60)

    client._http.event_hooks = {"request": [wait_for_the_others]}

    def run(_: int) -> str:
        try:
            return make(each_company, client)
        except UnknownOutcome:
            told.release()
            return "being made"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(run, range(4)))
    assert outcomes == ["being made"] * 3 + ["ord000001"]
    assert upstream.stats()["orders"] == 1

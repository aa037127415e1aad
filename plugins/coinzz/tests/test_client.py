"""Calls to Coinzz: every way they can go wrong ends in the one error that says what to do next."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import time_machine
from pydantic import SecretStr, ValidationError

from flowzz.errors import NeedsCredentials, Throttled
from flowzz.jobs.throttling import retry_after
from flowzz_coinzz.client import CoinzzClient
from flowzz_coinzz.connection import CoinzzConnection
from flowzz_coinzz.errors import ProtocolError, Refused, TransientError, UnknownOutcome, WrongEndpoint
from flowzz_coinzz.sandbox.demo import connection_fields
from flowzz_coinzz.upstream import Address, Customer, NewSale, check, create_sale, sales_page
from support.waiting import eventually

SALE = NewSale(
    offer_hash="offq7k2m1",
    payment_method="afterpay",
    customer=Customer(
        name="Cliente Exemplo",
        email="cliente@example.com",
        document="00000000191",
        phone="11900000000",
        address=Address(
            zip_code="01001000", street="Rua Exemplo", number="100", neighborhood="Centro", city="São Paulo", state="SP"
        ),
    ),
)

Connect = Callable[..., CoinzzClient]


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def connect(upstream: Any, waits: list[float]) -> Iterator[Connect]:
    opened: list[CoinzzClient] = []

    def open_client(url: str = upstream.url, read_timeout: float = 30, **fields: Any) -> CoinzzClient:
        settings = CoinzzConnection.model_validate({**connection_fields(url), **fields})
        client = CoinzzClient(settings, "connection-7", read_timeout=timedelta(seconds=read_timeout), wait=waits.append)
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        client.close()


def test_products_check_the_token(company: Any) -> None:
    check(company.connection)


@pytest.mark.parametrize("retry_header", [7, None])
def test_a_429_says_how_long_to_wait(upstream: Any, connect: Connect, retry_header: int | None) -> None:
    upstream.faults(throttled={"retry_after": retry_header})
    with pytest.raises(Throttled) as caught:
        connect().get("products")
    assert caught.value.after == timedelta(seconds=retry_header or 60)


def test_a_429_may_name_a_date(upstream: Any, connect: Connect) -> None:
    upstream.faults(throttled={"retry_after": "date"})
    with pytest.raises(Throttled) as caught:
        connect().get("products")
    assert timedelta(seconds=1) <= caught.value.after <= timedelta(seconds=2)


@time_machine.travel(datetime(2026, 11, 24, 12, 0, tzinfo=UTC), tick=False)
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        ("0", 1),
        ("Tue, 24 Nov 2026 12:05:00 GMT", 300),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 1),
        ("999999999", 86400),
        ("soon", 60),
        ("-5", 60),
        ("", 60),
        (None, 60),
    ],
)
def test_retry_after(header: str | None, seconds: int) -> None:
    assert retry_after(header) == timedelta(seconds=seconds)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("html", [False, True])
def test_a_server_error_is_transient_whatever_its_body(
    upstream: Any, connect: Connect, waits: list[float], status: int, html: bool
) -> None:
    upstream.faults(server_error={"status": status, "html": html})
    with pytest.raises(TransientError, match=str(status)):
        connect().get("products")
    assert waits == [0.5, 2]
    assert upstream.stats()["calls"] == 3


def test_a_passing_server_error_is_not_noticed(upstream: Any, connect: Connect) -> None:
    upstream.faults(server_error={"times": 1})
    connect().get("products")
    upstream.faults(server_error={"every": 2})
    for _ in range(5):
        connect().get("products")


def test_server_errors_for_a_while(upstream: Any, connect: Connect) -> None:
    upstream.faults(server_error={"seconds": 0.0})
    connect().get("products")
    upstream.faults(server_error={"seconds": 60})
    with pytest.raises(TransientError):
        connect().get("products")


def test_a_refused_token_names_the_connection_and_hides_the_token(connect: Connect) -> None:
    with pytest.raises(NeedsCredentials) as caught:
        connect(api_token="12|wrongwrongwrong").get("products")
    assert caught.value.connection_id == "connection-7"
    assert "401" in str(caught.value)
    assert "wrongwrong" not in str(caught.value)


def test_a_token_may_be_refused_from_a_given_moment(upstream: Any, connect: Connect) -> None:
    upstream.faults(unauthorized={"after": 1})
    client = connect()
    client.get("products")
    with pytest.raises(NeedsCredentials):
        client.get("products")


def test_a_redirect_is_not_followed(upstream: Any, connect: Connect) -> None:
    upstream.faults(redirect_to_login=True)
    with pytest.raises(WrongEndpoint, match="redirected to /coinzz/login"):
        connect().get("products")
    assert upstream.stats()["calls"] == 1


@pytest.mark.parametrize("path", ["products", "orders"])
def test_a_web_page_is_not_believed(upstream: Any, connect: Connect, path: str) -> None:
    if path == "products":
        upstream.faults(html_page=True)
    with pytest.raises(WrongEndpoint, match="expected JSON from Coinzz, got text/html"):
        connect().get(path)


def test_success_false_is_a_refusal(upstream: Any, connect: Connect) -> None:
    upstream.faults(success_false=True)
    with pytest.raises(Refused, match="Operação não permitida"):
        connect().get("products")


def test_broken_json_is_asked_for_again(upstream: Any, connect: Connect) -> None:
    upstream.faults(truncated_json={"times": 2})
    assert connect().get("products").document["data"]
    upstream.faults(truncated_json=True)
    with pytest.raises(TransientError, match="broken JSON"):
        connect().get("products")


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_a_cut_connection_is_transient_for_a_get(upstream: Any, connect: Connect, fault: str) -> None:
    upstream.faults(**{fault: {"times": 1}})
    connect().get("products")
    upstream.faults(**{fault: True})
    with pytest.raises(TransientError):
        connect().get("products")


def test_a_slow_answer_is_transient_for_a_get(upstream: Any, connect: Connect) -> None:
    upstream.faults(slow={"delay": 6, "times": 1})
    client = connect(read_timeout=2)
    assert client.get("products").status == 200
    assert upstream.stats()["calls"] == 2


def test_nobody_there_is_transient(connect: Connect) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(TransientError, match="ConnectError"):
            connect(url).get("products")
        with pytest.raises(TransientError, match="nothing was sent"):
            connect(url).post("sales", {})


def test_calls_keep_to_the_rate(upstream: Any, connect: Connect, waits: list[float]) -> None:
    client = connect(rate=2)
    for _ in range(3):
        client.get("products")
    assert len(waits) == 2
    assert sum(waits) == pytest.approx(1.5, abs=0.3)


def test_a_sale_is_made(upstream: Any, connect: Connect) -> None:
    (made,) = create_sale(connect(), SALE.model_copy(update={"payment_method": "pix"}))
    assert (made.order_hash, made.status, made.payment["pix"]["code"]) == ("ord000001", "PENDING", "000201EXAMPLE")


def test_bad_input_names_the_fields(connect: Connect) -> None:
    with pytest.raises(Refused) as caught:
        create_sale(connect(), SALE.model_copy(update={"offer_hash": "nope"}))
    assert caught.value.fields == {"offer_hash": ["Oferta não encontrada."]}
    assert "Dados inválidos" in str(caught.value)


def test_a_courier_that_does_not_go_there_is_a_refusal(upstream: Any, connect: Connect) -> None:
    upstream.settings(refused_zip_codes=[["01000000", "01999999"]])
    with pytest.raises(Refused, match="CEP sem cobertura"):
        create_sale(connect(), SALE)
    create_sale(connect(), SALE.model_copy(update={"payment_method": "pix"}))


@pytest.mark.parametrize(
    ("fault", "orders"),
    [
        ({"slow": {"delay": 1.0}}, 1),
        ({"reset_before": True}, 0),
        ({"reset_after": True}, 1),
        ({"truncated_json": True}, 1),
        ({"missing_order_hash": True}, 1),
        ({"server_error": {"status": 502}}, 0),
    ],
)
def test_a_sale_of_unknown_outcome_is_sent_once(
    upstream: Any, connect: Connect, fault: dict[str, Any], orders: int
) -> None:
    upstream.faults(**fault)
    with pytest.raises(UnknownOutcome):
        create_sale(connect(read_timeout=0.4), SALE)
    # Who gives up may be faster than the server that has the request.
    eventually(lambda: upstream.stats()["orders"] == orders)
    assert upstream.stats()["byEndpoint"] == {"POST sales": 1}


def answering(connect: Connect, body: bytes, status: int = 200, kind: str = "application/json") -> CoinzzClient:
    """A client of a server that always gives the same answer."""
    client = connect()
    client._http = httpx.Client(
        base_url="http://test/",
        transport=httpx.MockTransport(
            lambda request: httpx.Response(status, content=body, headers={"Content-Type": kind})
        ),
    )
    return client


@pytest.mark.parametrize("body", [b'{"data": {}}', b'{"rows": []}', b'"text"'])
def test_another_shape_of_the_pull_is_a_protocol_error(connect: Connect, body: bytes) -> None:
    with pytest.raises(ProtocolError, match="expected a list of sales"):
        sales_page(answering(connect, body), 1, None)


@pytest.mark.parametrize(
    ("body", "is_last"),
    [
        (b'{"data": [1], "meta": {"last_page": 2}}', False),
        (b'{"data": [1], "meta": {"last_page": "1"}}', True),
        (b'{"data": [1], "links": {"next": null}}', True),
        (b'{"data": [1], "links": {"next": "http://x"}}', False),
        (b'{"data": [], "links": {"next": "http://x"}}', True),
        (b"[1, 2]", True),
        (b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", False),
    ],
)
def test_the_last_page_is_known_from_what_the_answer_tells(connect: Connect, body: bytes, is_last: bool) -> None:
    assert sales_page(answering(connect, body), 1, None).is_last is is_last


@pytest.mark.parametrize("status", [404, 400, 409, 422])
def test_other_refusals_are_permanent(connect: Connect, status: int) -> None:
    with pytest.raises(Refused, match=str(status)):
        answering(connect, b'{"message": "no"}', status).get("x")


def test_the_excerpt_shows_no_secrets(connect: Connect) -> None:
    token = connection_fields("http://x")["api_token"]
    body = f'{{"message": "", "t": "{token}", "m": "ana@example.com", "d": "000.000.001-91"}}'.encode()
    with pytest.raises(Refused) as caught:
        answering(connect, body, 422).get("x")
    said = str(caught.value)
    assert "***" in said
    assert "<email>" in said
    assert "<number>" in said
    assert token not in said
    assert "ana@" not in said
    assert "001-91" not in said


@pytest.mark.parametrize(
    "fields",
    [
        {"base_url": "app.coinzz.com.br"},
        {"base_url": "ftp://app.coinzz.com.br"},
        {"pull_path": "https://elsewhere/sales"},
        {"pull_path": "../admin"},
        {"pull_path": "/"},
        {"api_token": " "},
        {"api_token": "tókén"},
        {"api_token": "a\nb"},
        {"per_page": 0},
        {"rate": 0},
        {"colour": "red"},
    ],
)
def test_a_connection_is_checked_when_it_is_made(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CoinzzConnection.model_validate({"api_token": "12|abc", **fields})


def test_the_pull_is_off_and_an_assumption() -> None:
    settings = CoinzzConnection(api_token=SecretStr("12|abc"))
    assert settings.pull_enabled is False
    assert settings.base_url == "https://app.coinzz.com.br/api"
    for name in ("pull_enabled", "pull_path"):
        assert "ASSUMPTION" in str(CoinzzConnection.model_fields[name].description)
    assert "12|abc" not in repr(settings)


def test_two_threads_share_the_rate(upstream: Any, connect: Connect, waits: list[float]) -> None:
    client = connect(rate=1)
    threads = [threading.Thread(target=client.get, args=("products",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 2

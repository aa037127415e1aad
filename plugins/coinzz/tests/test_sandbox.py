"""The sandbox itself: faithful where something is known, honest where it is not, and every switch works."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from flowzz.clock import now
from flowzz.plugins.sandboxes import Trigger
from flowzz_coinzz.coerce import SAO_PAULO
from flowzz_coinzz.sandbox.faults import CATALOGUE, SHAPES
from flowzz_coinzz.sandbox.lives import LIVES, MIXTURE
from flowzz_coinzz.sandbox.payloads import bent, order_document
from flowzz_coinzz.sandbox.state import TOKEN, SandboxState
from flowzz_coinzz.vocabulary import (
    OrderGroup,
    PaymentMethod,
    ShippingGroup,
    order_group,
    payment_method,
    shipping_group,
)

AUTH = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}


def get(upstream: Any, path: str, **headers: str) -> Any:
    return upstream.http.get(f"{upstream.url}/{path}", headers={**AUTH, **headers})


def test_the_page_explains_it(upstream: Any) -> None:
    page = get(upstream, "")
    assert page.headers["Content-Type"].startswith("text/html")
    for name in [*CATALOGUE, "Assumption", "_control/orders", *LIVES]:
        assert name in page.text


def test_the_token_is_checked(upstream: Any) -> None:
    assert get(upstream, "api/products").json()["data"]["producer"][0]["offers"][0]["hash"] == "offq7k2m1"
    refused = get(upstream, "api/products", Authorization="Bearer 1|other")
    assert (refused.status_code, refused.json()) == (401, {"message": "Unauthenticated."})
    browser = get(upstream, "api/products", Authorization="Bearer 1|other", Accept="text/html")
    assert (browser.status_code, browser.headers["Location"]) == (302, "/coinzz/login")


@pytest.mark.parametrize("path", ["api/orders", "api/v1/sales", "pedido/ord1"])
def test_an_unknown_path_is_a_web_page_with_200(upstream: Any, path: str) -> None:
    answer = get(upstream, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_the_pull_has_pages_and_a_filter(upstream: Any) -> None:
    upstream.seed(25)
    second = get(upstream, "api/sales?page=2&per_page=10").json()
    assert len(second["data"]) == 10
    assert second["meta"] == {"current_page": 2, "last_page": 3, "per_page": 10, "total": 25}
    assert second["links"]["next"].endswith("page=3")
    assert get(upstream, "api/sales?updated_from=2026-11-01 00:00:00").json()["meta"]["total"] == 0


def test_the_rate_limit_speaks_laravel(upstream: Any) -> None:
    upstream.settings(rate_limit=1)
    assert get(upstream, "api/products").headers["X-RateLimit-Limit"] == "1"
    limited = get(upstream, "api/products")
    assert (limited.status_code, limited.headers["X-RateLimit-Remaining"]) == (429, "0")
    assert 1 <= int(limited.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("mixed", [False, True])
def test_seeding_is_the_same_each_time(mixed: bool) -> None:
    def seeded() -> list[Any]:
        state = SandboxState()
        state.seed(5, mixed=mixed)
        return [order_document(order) for order in state.orders]

    assert seeded() == seeded()


def test_a_mixed_seed_is_a_shop_in_full_swing(upstream: Any) -> None:
    upstream.control("seed", {"orders": 100, "per_page": 100, "mixed": True})
    found = Counter(
        (row["order"]["order_status"], row["order"]["shipping_status"], payment_method(row["order"]["method_payment"]))
        for row in get(upstream, "api/sales?per_page=100").json()["data"]
    )

    wanted: Counter[Any] = Counter()
    for stage in MIXTURE:
        wanted[*LIVES[stage.life][stage.steps - 1], PaymentMethod(stage.method)] += stage.share
    assert found == wanted
    assert {order_group(status) for status, _, _ in found} == set(OrderGroup) - {OrderGroup.UNKNOWN}
    assert {shipping_group(shipping) for _, shipping, _ in found} == (
        set(ShippingGroup) - {ShippingGroup.UNKNOWN, ShippingGroup.BLOCKED}
    )
    assert {method for _, _, method in found} == set(PaymentMethod) - {PaymentMethod.UNKNOWN}


def test_orders_may_be_of_the_last_days(upstream: Any) -> None:
    upstream.control("seed", {"orders": 10, "per_page": 10, "days": 5})
    after = now()
    dates = [row["order"]["date_order"] for row in get(upstream, "api/sales").json()["data"]]
    made = sorted(datetime.fromisoformat(date).replace(tzinfo=SAO_PAULO) for date in dates)
    assert timedelta(0) <= after - made[-1] < timedelta(minutes=10)
    assert {later - earlier for earlier, later in itertools.pairwise(made)} == {timedelta(hours=12)}


def test_a_mixed_order_goes_on_where_it_is() -> None:
    state = SandboxState()
    state.seed(100, mixed=True)
    sent = next(order for order in state.orders if order["shipping_status"] == "Enviado" and order["step"] == 2)
    assert sent["tracking_code"]
    (received,) = state.advance(sent["number"], "delivered", 10)
    assert (received["order"]["order_status"], received["order"]["shipping_status"]) == ("Aprovado", "Recebido")


def test_lives_end(upstream: Any) -> None:
    for life, steps in LIVES.items():
        number = upstream.seed(1)[0]
        asked = {"life": life, "steps": 10, "delivery": {"never": True}}
        assert upstream.control(f"orders/{number}/advance", asked)["sent"] == len(steps)
        assert upstream.control(f"orders/{number}/advance", asked)["sent"] == 0


def test_triggers() -> None:
    def strikes(**options: Any) -> str:
        trigger = Trigger(options)
        return "".join("x" if trigger.strikes() else "." for _ in range(8))

    assert strikes() == "xxxxxxxx"
    assert strikes(times=1) == "x......."
    assert strikes(every=3) == "..x..x.."
    assert strikes(after=6) == "......xx"
    assert strikes(after=1, every=2, times=2) == "..x.x..."
    assert strikes(seconds=-1) == "........"


def test_every_shape_bends_something() -> None:
    for shape in SHAPES:
        state = SandboxState()
        state.faults.switch({shape: True})
        order = state.add({"order_status": "Aprovado"})
        assert bent(order_document(order), state.faults) != order_document(order), shape


def test_all_shapes_together_still_bend(upstream: Any) -> None:
    upstream.faults(**dict.fromkeys(SHAPES, True))
    upstream.seed(1)
    (row,) = get(upstream, "api/sales").json()["data"]
    assert "utms" not in row
    assert row["order"]["order.order_quantity"] == "2"


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("PUT", "faults", {"gremlins": True}, "no fault is named 'gremlins'"),
        ("PUT", "faults", {"slow": {"colour": 1}}, "no option is named colour"),
        ("PUT", "faults", {"slow": 3}, "expected true or an object"),
        ("PUT", "settings", {"colour": 1}, "no setting is named colour"),
        ("POST", "seed", {"orders": 0}, "expected orders to be 1 to"),
        ("POST", "seed", {"mixed": "yes"}, "expected mixed to be true or false, got 'yes'"),
        ("POST", "seed", {"days": 0}, "expected days to be 1 to 3650, got 0"),
        ("POST", "webhooks/test", {"kind": "letters"}, "expected kind to be one of"),
        ("POST", "webhooks/test", {"kind": "orders"}, "no address for orders"),
        ("POST", "webhooks/send", {"url": "http://x", "delivery": {"copies": 0}}, "copies"),
        ("POST", "orders/nobody/advance", {"delivery": {"never": True}}, "not found"),
        ("POST", "orders/x/advance", {"life": "eternal"}, "no life is named 'eternal'"),
    ],
)
def test_wrong_switches_say_what_is_wrong(upstream: Any, method: str, path: str, body: Any, said: str) -> None:
    answer = upstream.http.request(method, f"{upstream.url}/_control/{path}", json=body)
    assert answer.status_code in (400, 404)
    assert said in answer.json()["message"]


def test_reset_forgets_everything(upstream: Any) -> None:
    upstream.seed(3)
    upstream.faults(slow=True)
    upstream.control("reset")
    assert upstream.stats()["orders"] == 0
    assert upstream.control("faults", method="GET")["on"] == {}


def test_an_unreachable_receiver_is_on_record(upstream: Any) -> None:
    upstream.settings(webhooks={"orders": "http://127.0.0.1:1/webhooks/coinzz/x"})
    (answer,) = upstream.control("webhooks/send", {"kind": "orders"})["answers"]
    assert answer["status"] is None
    assert "ConnectError" in answer["error"]

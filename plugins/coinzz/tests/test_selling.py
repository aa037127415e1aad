"""The job that makes a sale: what it sends, and that no retry, replay or crash makes a second one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flowzz.errors import InvalidPayload, NeedsCredentials, Permanent
from flowzz.jobs.payload import parse_payload
from flowzz_coinzz.errors import Refused, UnknownOutcome
from flowzz_coinzz.sandbox.demo import SALE
from flowzz_coinzz.selling import CreateSale, create_sale


def payload(company: Any, **more: Any) -> CreateSale:
    data: Mapping[str, Any] = {"empresaId": company.id, "saleKey": "cart-1", **SALE, **more}
    return parse_payload("coinzz.create_sale", CreateSale, data)


def make(company: Any, **more: Any) -> str:
    made = create_sale(company.context(job="coinzz.create_sale"), payload(company, **more))
    return str(made.order_number)


def test_it_makes_the_sale_once_a_key(upstream: Any, company: Any) -> None:
    assert make(company) == make(company) == "ord000001"
    assert make(company, saleKey="cart-2") == "ord000002"
    assert upstream.stats()["byEndpoint"]["POST sales"] == 2


def test_punctuation_is_taken_out_before_it_is_sent(upstream: Any, company: Any) -> None:
    make(company)
    company.sync()
    (row,) = company.orders().values()
    assert (row["client_document"], row["zip_code"]) == ("00000000191", "01001000")


def test_a_lost_answer_is_settled_by_the_sync_and_the_job_then_tells_the_number(upstream: Any, company: Any) -> None:
    upstream.faults(reset_after={"times": 1})
    with pytest.raises(UnknownOutcome):
        make(company)
    with pytest.raises(UnknownOutcome, match="sent before"):
        make(company)
    company.sync()
    assert make(company) == "ord000001"
    assert upstream.stats()["orders"] == 1


def test_a_refusal_says_the_fields(upstream: Any, company: Any) -> None:
    upstream.settings(refused_zip_codes=[["01000000", "01999999"]])
    with pytest.raises(Refused, match="CEP sem cobertura"):
        make(company)


def test_a_refused_token_asks_for_a_new_one(upstream: Any, company: Any) -> None:
    upstream.faults(unauthorized=True)
    with pytest.raises(NeedsCredentials):
        make(company)


def test_without_a_connection_it_says_so(company: Any) -> None:
    context = company.context()
    context.company_id = "nobody"
    with pytest.raises(Permanent, match="has no connection to coinzz"):
        create_sale(context, payload(company, empresaId="nobody"))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("saleKey", "", "saleKey"),
        ("paymentMethod", "credit_card", "paymentMethod"),
        ("shippingValue", -1, "shippingValue"),
        ("customer", {**SALE["customer"], "email": "nobody"}, "customer.email"),
        ("customer", {**SALE["customer"], "address": {**SALE["customer"]["address"], "zipCode": "1"}}, "zipCode"),
    ],
)
def test_bad_input_is_refused_by_field(company: Any, field: str, value: Any, named: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        payload(company, **{field: value})
    assert any(problem["field"].endswith(named) for problem in refused.value.problems)

"""Whatever shape a webhook has drifted into, it reads the same; and nothing that comes can raise."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowzz_coinzz.coerce import Unreadable, digits, document, flag, moment, money, phone, text, whole
from flowzz_coinzz.normalise import (
    Kind,
    kind_of,
    normalise_affiliation,
    normalise_order,
    normalise_subscription,
    parse_json,
    state_of,
)
from flowzz_coinzz.sandbox.faults import coinzz_faults
from flowzz_coinzz.sandbox.payloads import affiliation_document, bent, order_document, subscription_document
from flowzz_coinzz.sandbox.state import SandboxState
from flowzz_coinzz.vocabulary import (
    OrderGroup,
    PaymentMethod,
    ShippingGroup,
    fold,
    order_group,
    payment_method,
    shipping_group,
)

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [*order_document(SandboxState().add({}))["order"], *order_document(SandboxState().add({}))["client"], "utm_source"]
)
BLOCKS = st.dictionaries(KEYS | KEYS.map(lambda key: f"order.{key}"), ANY_JSON, max_size=12)


def webhook() -> Any:
    return order_document(SandboxState().add({}))


def read(document: Any) -> Any:
    """The document as it arrives: through the wire."""
    return normalise_order(parse_json(json.dumps(document).encode()))


@given(st.dictionaries(st.sampled_from(["order", "client", "utms", "subscription"]), BLOCKS | ANY_JSON) | ANY_JSON)
def test_no_json_makes_it_raise(anything: Any) -> None:
    found = normalise_order(anything)
    normalise_affiliation(anything)
    normalise_subscription(anything)
    kind_of(anything)
    state_of(found.values)
    for value in found.values.values():
        assert not isinstance(value, float)
        assert not isinstance(value, str) or ("\x00" not in value and value.encode())


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise_anything_but_value_error(body: bytes) -> None:
    try:
        found = parse_json(body)
    except ValueError:
        return
    normalise_order(found)


AMOUNTS = st.decimals(min_value=-(10**11), max_value=10**11, places=4, allow_nan=False, allow_infinity=False)


@given(AMOUNTS)
def test_money_is_exact_as_number_and_as_text(amount: Decimal) -> None:
    body = parse_json(b'{"amount": ' + f"{amount:f}".encode() + b"}")
    assert money(body["amount"]) == amount
    assert money(f"{amount:f}") == amount
    assert money(f"R$ {amount:f}".replace(".", ","), decimal_comma=True) == amount


@given(st.integers(min_value=0, max_value=10**11 * 100))
def test_money_is_exact_in_brazilian_writing(cents: int) -> None:
    amount = Decimal(cents) / 100
    brazilian = f"{amount:,.2f}".translate(str.maketrans({",": ".", ".": ","}))
    assert money(brazilian, decimal_comma=True) == amount
    assert money(brazilian) == amount


@pytest.mark.parametrize(
    ("written", "comma", "amount"),
    [
        ("197.90", False, "197.90"),
        ("1.234", False, "1.234"),
        ("1.234", True, "1234"),
        ("1.234.567", False, "1234567"),
        ("1,234.56", True, "1234.56"),
        ("197.90000000000001", False, "197.9"),
        ("-3,5", True, "-3.5"),
        ("", False, None),
    ],
)
def test_separators(written: str, comma: bool, amount: str | None) -> None:
    assert money(written, decimal_comma=comma) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    "value", ["abc", "1e3x", Decimal("1e999999999"), Decimal("NaN"), 10**12, True, [], {}, "1 2,3,x"]
)
def test_no_amount(value: Any) -> None:
    with pytest.raises(Unreadable):
        money(value)


@pytest.mark.parametrize(
    ("written", "e164"),
    [
        ("+55 11900000000", "+5511900000000"),
        ("+55 (11) 90000-0000", "+5511900000000"),
        ("11900000000", "+5511900000000"),
        ("011 90000-0000", "+5511900000000"),
        ("5511900000000", "+5511900000000"),
        ("1133334444", "+551133334444"),
        ("55999998888", "+5555999998888"),
        ("+351 912 345 678", "+351912345678"),
        (11900000000, "+5511900000000"),
        ("12345", None),
        ("sem telefone", None),
        ("", None),
    ],
)
def test_phones(written: Any, e164: str | None) -> None:
    assert phone(written) == e164


def test_a_phone_that_cannot_be_read_is_kept_raw() -> None:
    document = webhook()
    document["client"]["client_phone"] = "ramal 12"
    values = read(document).values
    assert (values["client_phone"], values["client_phone_raw"]) == (None, "ramal 12")


@pytest.mark.parametrize(
    ("value", "bare"),
    [("000.000.001-91", "00000000191"), (191, "00000000191"), ("12.ABC.345/01DE-35", "12ABC34501DE35"), ("", None)],
)
def test_documents(value: Any, bare: str | None) -> None:
    assert document(value) == bare


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-02 14:05:09",
        "2026-03-02T14:05:09",
        "2026-03-02T17:05:09Z",
        "2026-03-02 14:05:09 -03:00",
        "02/03/2026 14:05:09",
    ],
)
def test_dates_are_of_sao_paulo_unless_they_say_otherwise(written: str) -> None:
    assert moment(written) == datetime(2026, 3, 2, 17, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize("written", ["0000-00-00 00:00:00", "31/02/2026", "ontem", "0001-01-01", "9999-12-31"])
def test_no_date(written: str) -> None:
    with pytest.raises(Unreadable):
        moment(written)


def test_small_values() -> None:
    assert [flag(value) for value in (True, "true", "1", 1, "Sim", "false", 0, "", None)] == [
        *(True,) * 5,
        *(False,) * 2,
        *(None,) * 2,
    ]
    assert [whole(value) for value in (2, "2", Decimal("2.0"), " 7 ", "", None)] == [2, 2, 2, 7, None, None]
    assert text("  a\x00b\ud800 ") == "ab?"
    assert digits("01001-000") == "01001000"
    for reader, value in ((flag, "talvez"), (whole, 2.5), (whole, 2**40), (text, []), (text, True)):
        with pytest.raises(Unreadable):
            reader(value)


@pytest.mark.parametrize("shape", ["dotted_keys", "text_values", "missing_utms"])
def test_a_drifted_shape_reads_like_the_plain_one(shape: str) -> None:
    faults = coinzz_faults()
    faults.switch({shape: True})
    plain, drifted = read(webhook()), read(bent(webhook(), faults))

    expected = dict(plain.values)
    if shape == "missing_utms":
        expected = {name: value for name, value in expected.items() if not name.startswith("utm_")}
    assert drifted.values == expected
    assert drifted.problems == plain.problems == ()
    assert state_of(drifted.values).fingerprint == state_of(plain.values).fingerprint


def test_keys_may_be_dotted_at_the_top() -> None:
    document = webhook()
    flat = {f"{name}.{key}": value for name in ("order", "client", "utms") for key, value in document[name].items()}
    assert kind_of(flat) is Kind.ORDER
    assert read(flat).values == read(document).values


def test_older_payloads_and_other_spellings() -> None:
    document = webhook()
    for key in ("product_code", "offer_code", "offer_name", "financial_fees", "logistic_fee", "coproducers"):
        del document["order"][key]
    client = document["client"]
    client["client_document"] = client.pop("client_documment")
    client["client_address_complement"] = "Fundos"
    del client["client_address_comp"]
    values = read(document).values
    assert values["client_document"] == "00000000001"
    assert values["complement"] == "Fundos"
    assert "offer_code" not in values


def test_what_cannot_be_read_is_a_problem_and_not_the_end() -> None:
    document = webhook()
    document["order"] |= {"order_final_price": "grátis", "order_quantity": [], "date_order": "ontem"}
    found = read(document)
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "order.date_order",
        "order.order_final_price",
        "order.order_quantity",
    ]
    assert found.values["order_number"] == "ord000001"


def test_unusual_parts_are_kept_as_they_came() -> None:
    document = webhook()
    document["order"]["agency_address"] = {"street": "Rua\x00 A", "km": 1.5}
    document["order"]["coproducers"] = [{"name": "A", "email": "a@example.com", "commission": 1.25}]
    details = read(document).values["details"]
    assert details["agency_address"] == {"street": "Rua A", "km": "1.5"}
    assert details["coproducers"][0]["commission"] == "1.25"


def test_the_fingerprint_follows_the_state_and_nothing_else() -> None:
    def fingerprint(**order: Any) -> str:
        document = deepcopy(webhook())
        document["order"] |= order
        return state_of(read(document).values).fingerprint

    plain = fingerprint()
    assert fingerprint(order_status="AGUARDANDO  ENVIO", order_final_price="98.010") == plain
    assert fingerprint(courier_name="Outra") == plain
    changed = [
        fingerprint(order_status="Aprovado"),
        fingerprint(shipping_status="Enviado"),
        fingerprint(tracking_code="BR1"),
        fingerprint(deleted_at="2026-03-09 10:00:00"),
        fingerprint(order_final_price=99),
        fingerprint(order_number="ord9"),
    ]
    assert len({plain, *changed}) == 7


def test_kinds_by_shape() -> None:
    order = SandboxState().add({})
    assert kind_of(order_document(order)) is Kind.ORDER
    assert kind_of(subscription_document(order)) is Kind.SUBSCRIPTION
    assert kind_of(affiliation_document()) is Kind.AFFILIATION
    assert kind_of({"hello": 1}) is kind_of([]) is kind_of(None) is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"order": {"order_number": "ordé"}}'.encode(), Kind.ORDER),
        ('{"order": {"order_number": "ordé"}}'.encode("latin-1"), Kind.ORDER),
        (b"\xef\xbb\xbf" + b'{"order": {"order_number": "ord1"}}', Kind.ORDER),
        (b'{"order": {"order_number": "ord1", "order_final_price": NaN}}', Kind.ORDER),
    ],
)
def test_encodings(body: bytes, kind: Kind) -> None:
    assert kind_of(parse_json(body)) is kind


@pytest.mark.parametrize("body", [b"", b"order=1", b'{"order": {', b"[" * 100_000])
def test_no_json(body: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        parse_json(body)


@pytest.mark.parametrize(
    ("label", "group"),
    [
        ("Aprovado", OrderGroup.PAID),
        ("aprovada", OrderGroup.PAID),
        ("  EM   ANÁLISE ", OrderGroup.OPEN),
        ("Excluído", OrderGroup.LOST),
        ("Recusada", OrderGroup.LOST),
        ("chargeback", OrderGroup.DISPUTE),
        ("Situação Nova", OrderGroup.UNKNOWN),
        (None, OrderGroup.UNKNOWN),
    ],
)
def test_order_groups(label: str | None, group: OrderGroup) -> None:
    assert order_group(label) is group


@pytest.mark.parametrize(
    ("label", "group"),
    [
        ("A Enviar", ShippingGroup.TO_SHIP),
        ("enviada", ShippingGroup.MOVING),
        ("Aguardando retirada na agência", ShippingGroup.MOVING),
        ("Parcialmente Recebida", ShippingGroup.DELIVERED),
        ("Em devolução", ShippingGroup.FAILED),
        ("Falha na emissão fiscal", ShippingGroup.BLOCKED),
        ("Teletransportado", ShippingGroup.UNKNOWN),
    ],
)
def test_shipping_groups(label: str, group: ShippingGroup) -> None:
    assert shipping_group(label) is group


def test_payment_methods() -> None:
    assert payment_method("Venda Pós-Paga") is payment_method("AFTERPAY") is PaymentMethod.AFTERPAY
    assert payment_method("PIX") is PaymentMethod.PIX
    assert payment_method("Boleto") is PaymentMethod.BANK_SLIP
    assert payment_method("escambo") is PaymentMethod.UNKNOWN
    assert fold("Cartão de Crédito") == "cartao de credito"

"""The job that makes a sale at Coinzz, at most once for each ``saleKey`` of the caller's."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.payload import Payload, Result, WireModel
from flowzz_coinzz.client import CoinzzClient
from flowzz_coinzz.connection import CoinzzConnection
from flowzz_coinzz.sales import create_once
from flowzz_coinzz.sync import PLUGIN
from flowzz_coinzz.upstream import Address, Customer, NewSale

CREATE_JOB = "coinzz.create_sale"
CREATE_QUEUE = "sales-coinzz"
KEY_LIMIT = 191


class BuyerAddress(WireModel):
    """Where it goes: ``zip_code`` is a CEP, ``state`` a UF of two letters."""

    zip_code: str = Field(pattern=r"^\d{5}-?\d{3}$")
    street: str = Field(min_length=1)
    number: str = Field(min_length=1)
    neighborhood: str = Field(min_length=1)
    city: str = Field(min_length=1)
    state: str = Field(pattern=r"^[A-Za-z]{2}$")
    complement: str | None = None


class Buyer(WireModel):
    """Who buys. ``document`` is a CPF or CNPJ and ``phone`` area code and number; punctuation is taken out."""

    name: str = Field(min_length=1)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    document: str = Field(min_length=1)
    phone: str = Field(min_length=1)
    address: BuyerAddress


class CreateSale(Payload):
    """``sale_key`` is the caller's own name of the sale (a cart's id, say): the same again is the same sale.

    Cards are left out: they would bring card data into our scope. ``shipping_value`` is sent as given; nobody knows its
    unit.
    """

    empresa_id: str
    sale_key: str = Field(min_length=1, max_length=KEY_LIMIT)
    offer_hash: str = Field(min_length=1)
    payment_method: Literal["afterpay", "pix", "bank_slip"]
    customer: Buyer
    shipping_value: int = Field(default=0, ge=0)
    affiliate_email: str | None = None
    discount_coupon: str | None = None


class SaleMade(Result):
    """``order_number`` is Coinzz's order hash."""

    order_number: str


@job(CREATE_JOB, queue=CREATE_QUEUE, timeout=timedelta(minutes=5))
def create_sale(ctx: JobContext, data: CreateSale) -> SaleMade:
    """Make a sale at Coinzz, at most once for its ``saleKey``; again, the same order.

    Raises Permanent when the company has no connection, Refused with Coinzz's words, TransientError when surely
    nothing was sent, and UnknownOutcome when the order may exist: then the order's webhook, or the sync, settles it,
    and the job may be replayed to learn its number.
    """
    connection = ctx.connection(PLUGIN)
    settings = connection.configured(CoinzzConnection)
    with CoinzzClient(settings, connection.id) as client:
        number = create_once(ctx.store, client, data.empresa_id, data.sale_key, _new_sale(data))
    ctx.log(f"sale {data.sale_key} is order {number}")
    return SaleMade(order_number=number)


def _new_sale(data: CreateSale) -> NewSale:
    buyer, home = data.customer, data.customer.address
    return NewSale(
        offer_hash=data.offer_hash,
        payment_method=data.payment_method,
        shipping_value=data.shipping_value,
        affiliate_email=data.affiliate_email,
        discount_coupon=data.discount_coupon,
        customer=Customer(
            name=buyer.name,
            email=buyer.email,
            document=_digits(buyer.document),
            phone=_local(_digits(buyer.phone)),
            address=Address(
                **{**home.model_dump(by_alias=False), "zip_code": _digits(home.zip_code), "state": home.state.upper()}
            ),
        ),
    )


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isascii() and letter.isdigit())


def _local(phone: str) -> str:
    """Without Brazil's 55, which Coinzz does not want (reference §3.1); area codes begin with no 55 of 12 digits."""
    return phone[2:] if len(phone) in (12, 13) and phone.startswith("55") else phone

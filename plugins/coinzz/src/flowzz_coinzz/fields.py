"""Every field of an order: our column, Coinzz's name for it, how it is read, and its names in a CSV file.

One table for the webhook, the pull and the CSV import, so the three cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowzz_coinzz import coerce

Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """``key`` is Coinzz's own name inside ``block``; ``others`` are further spellings of it that were seen.

    ``headers`` are the Portuguese column names of a CSV file, folded; the key itself works there too.
    """

    column: str
    block: str
    key: str
    read: Reader
    headers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.others)

    @property
    def label(self) -> str:
        """How a message names it."""
        return f"{self.block}.{self.key}"


def _client(column: str, key: str, read: Reader = coerce.text, *headers: str, others: tuple[str, ...] = ()) -> Field:
    return Field(column, "client", key, read, headers, others)


def _order(column: str, key: str, read: Reader = coerce.text, *headers: str) -> Field:
    return Field(column, "order", key, read, headers)


def _fee(column: str, key: str) -> Field:
    return Field(column, "financial_fees", key, coerce.money)


ORDER_FIELDS: tuple[Field, ...] = (
    _order("order_number", "order_number", coerce.text, "numero do pedido", "pedido", "n pedido", "codigo do pedido"),
    _order("order_status", "order_status", coerce.text, "status do pedido", "status", "situacao do pedido"),
    _order(
        "shipping_status", "shipping_status", coerce.text, "status do envio", "status de envio", "status da entrega"
    ),
    _order("deleted_at", "deleted_at", coerce.moment, "excluido em"),
    _order("tracking_code", "tracking_code", coerce.text, "codigo de rastreio", "rastreio", "codigo de rastreamento"),
    _order("courier_name", "courier_name", coerce.text, "transportadora"),
    _order("ordered_at", "date_order", coerce.moment, "data do pedido", "data", "data da venda"),
    _order("final_price", "order_final_price", coerce.money, "valor", "valor total", "valor do pedido", "total"),
    _order("quantity", "order_quantity", coerce.whole, "quantidade", "qtd"),
    _order("installments", "total_installments", coerce.whole, "parcelas"),
    _order("payment_label", "method_payment", coerce.text, "forma de pagamento", "metodo de pagamento", "pagamento"),
    _order("producer_commission", "producer_commission", coerce.money, "comissao do produtor", "comissao"),
    _order("affiliate_commission", "affiliate_commission", coerce.money, "comissao do afiliado"),
    _fee("transaction_fee", "transaction_fee"),
    _fee("antifraud_fee", "antifraud_fee"),
    _fee("financial_fees", "total"),
    _order("logistic_fee", "logistic_fee", coerce.money, "taxa logistica", "taxa de logistica"),
    _order("product_code", "product_code", coerce.text, "codigo do produto"),
    _order("product_name", "product_name", coerce.text, "produto", "nome do produto"),
    _order("offer_code", "offer_code", coerce.text, "codigo da oferta"),
    _order("offer_name", "offer_name", coerce.text, "oferta", "nome da oferta"),
    _client("client_name", "client_name", coerce.text, "cliente", "nome do cliente", "nome"),
    _client("client_email", "client_email", coerce.email, "email", "e-mail", "email do cliente", "e-mail do cliente"),
    _client("client_phone", "client_phone", coerce.phone, "telefone", "celular", "telefone do cliente"),
    _client("client_phone_raw", "client_phone", coerce.text),
    _client(
        "client_document",
        "client_documment",  # the double m is Coinzz's
        coerce.document,
        "cpf",
        "cpf/cnpj",
        "documento",
        others=("client_document",),
    ),
    _client("street", "client_address", coerce.text, "endereco", "rua", "logradouro"),
    _client("street_number", "client_address_number", coerce.text, "numero"),
    _client("district", "client_address_district", coerce.text, "bairro"),
    _client("complement", "client_address_comp", coerce.text, "complemento", others=("client_address_complement",)),
    _client("city", "client_address_city", coerce.text, "cidade"),
    _client("state", "client_address_state", coerce.text, "estado", "uf"),
    _client("zip_code", "client_zip_code", coerce.digits, "cep"),
    _client("country", "client_address_country", coerce.text, "pais"),
    _order("producer_name", "producer_name", coerce.text, "produtor"),
    _order("producer_email", "producer_email", coerce.email, "email do produtor", "e-mail do produtor"),
    _order("affiliate_name", "affiliate_name", coerce.text, "afiliado", "nome do afiliado"),
    _order("affiliate_email", "affiliate_email", coerce.email, "email do afiliado", "e-mail do afiliado"),
    _order("affiliate_phone", "affiliate_phone", coerce.text, "telefone do afiliado"),
    *(
        Field(f"utm_{name}", "utms", f"utm_{name}", coerce.text)
        for name in ("source", "medium", "campaign", "content", "term")
    ),
    _order("first_order", "first_order", coerce.flag),
    _order("second_order", "second_order", coerce.flag),
    _order("delivery_days", "deadline_delivery", coerce.whole, "prazo de entrega"),
    _order("delivery_time", "delivery_time", coerce.text),
)

DETAIL_KEYS = (
    "qrcode_pix",
    "url_pix",
    "url_bank_slip",
    "terms_and_conditions_file_path",
    "agency_address",
    "coproducers",
)
"""Keys of the order block that are kept as they came, whatever their type."""

AFFILIATION_FIELDS: tuple[Field, ...] = (
    Field("affiliate_name", "affiliation", "affiliate_name", coerce.text),
    Field("affiliate_email", "affiliation", "affiliate_email", coerce.email),
    Field("affiliate_phone", "affiliation", "affiliate_phone", coerce.text),
    Field("request_status", "affiliation", "affiliate_request", coerce.text),
    Field("product_name", "affiliation", "product_name", coerce.text),
    Field("requested_at", "affiliation", "date", coerce.moment),
)

SUBSCRIPTION_FIELDS: tuple[Field, ...] = (
    Field("subscription_hash", "subscription", "subscription_hash", coerce.text),
    Field("status", "subscription", "status", coerce.text),
    Field("frequency", "subscription", "frequency", coerce.text),
    Field("cycle", "subscription", "cycle", coerce.text),
    Field("next_charge_at", "subscription", "next_charge_date", coerce.moment),
    Field("order_number", "order", "order_number", coerce.text),
    Field("product_name", "order", "product_name", coerce.text),
    Field("final_price", "order", "order_final_price", coerce.money),
    Field("sent_at", "general_info", "date_sent", coerce.moment),
    Field("sent_name", "general_info", "name_sent", coerce.text),
    *(
        field
        for field in ORDER_FIELDS
        if field.column in ("client_name", "client_email", "client_phone", "client_document")
    ),
)

"""What Coinzz sends, built as it sends it, and bent as the shape faults say."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from flowzz.plugins.sandboxes import Faults
from flowzz_coinzz.sandbox.faults import SHAPES

Document = dict[str, Any]

FEMININE = {"Aprovado": "Aprovada", "Cancelado": "Cancelada", "Enviado": "Enviada", "Recebido": "Recebida"}


def order_document(order: Mapping[str, Any]) -> Document:
    """The webhook, and the pull's row, of an order of the sandbox."""
    return {
        "client": _client(order["index"], order["document"]),
        "order": _order(order),
        "utms": {
            "utm_source": "facebook",
            "utm_medium": "cpc",
            "utm_campaign": f"c{order['index'] % 5}",
            "utm_content": "",
            "utm_term": "",
        },
    }


def _client(index: int, document: str) -> Document:
    return {
        "client_name": f"Cliente {index:05d}",
        "client_phone": f"+55 119{index:08d}",
        "client_documment": _cpf(document),
        "client_email": f"cliente{index:05d}@example.com",
        "client_address": "Rua Exemplo",
        "client_zip_code": "01001-000",
        "client_address_number": str(index),
        "client_address_district": "Centro",
        "client_address_comp": "",
        "client_address_city": "São Paulo",
        "client_address_state": "SP",
        "client_address_country": "BR",
    }


def _order(order: Mapping[str, Any]) -> Document:
    return {
        "order_number": order["number"],
        "order_status": order["order_status"],
        "shipping_status": order["shipping_status"],
        "date_order": order["date_order"],
        "first_order": True,
        "second_order": False,
        "order_quantity": 1 + order["index"] % 3,
        "order_final_price": order["price"],
        "method_payment": "Venda pós-paga" if order["payment_method"] == "afterpay" else order["payment_method"],
        "total_installments": 1,
        "deadline_delivery": "7",
        "delivery_time": None,
        "tracking_code": order["tracking_code"],
        "courier_name": "Transportadora Exemplo" if order["tracking_code"] else None,
        "product_code": "pro1a2b3c",
        "product_name": "Produto Exemplo",
        "offer_code": order["offer_hash"],
        "offer_name": "1 unidade",
        "qrcode_pix": None,
        "url_pix": None,
        "url_bank_slip": None,
        "terms_and_conditions_file_path": None,
        "agency_address": None,
        "producer_name": "Loja Exemplo",
        "producer_email": "loja@example.com",
        "producer_commission": 120.5,
        "financial_fees": {"transaction_fee": 13.66, "antifraud_fee": 1.0, "total": 14.66},
        "logistic_fee": 22.0,
        "coproducers": [],
        "affiliate_name": None,
        "affiliate_email": None,
        "affiliate_phone": None,
        "affiliate_commission": None,
        "deleted_at": None,
    }


def affiliation_document() -> Document:
    return {
        "affiliate_name": "Afiliado Exemplo",
        "affiliate_email": "afiliado@example.com",
        "affiliate_phone": "+55 11988887777",
        "affiliate_request": "Pendente",
        "product_name": "Produto Exemplo",
        "date": "2026-03-02 14:05:09",
    }


def subscription_document(order: Mapping[str, Any]) -> Document:
    whole = order_document(order)
    return {
        "subscription": {
            "subscription_hash": "assq1w2e3",
            "status": "ativa",
            "frequency": "Mensal",
            "cycle": "1",
            "next_charge_date": "2026-04-02 00:00:00",
        },
        "client": whole["client"],
        "order": {
            key: whole["order"][key] for key in ("order_number", "order_final_price", "product_name", "method_payment")
        },
        "utms": whole["utms"],
        "general_info": {"date_sent": "2026-03-02 14:06:00", "name_sent": "Assinatura ativa"},
    }


def bent(document: Document, faults: Faults) -> Document:
    """``document`` as the shape faults that strike now make it."""
    shaped = deepcopy(document)
    for name in SHAPES:
        if "order" in shaped and faults.strike(name) is not None:
            shaped = _BENDS[name](shaped)
    return shaped


def _dotted(document: Document) -> Document:
    return {
        name: {f"{name}.{key}": value for key, value in block.items()} if isinstance(block, dict) else block
        for name, block in document.items()
    }


def _as_text(document: Document) -> Document:
    def written(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: written(item) for key, item in value.items()}
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int | float) else value

    return {name: written(block) for name, block in document.items()}


def _without_utms(document: Document) -> Document:
    return {name: block for name, block in document.items() if name != "utms"}


def _changed(document: Document, block: str, **values: Any) -> Document:
    return {**document, block: {**document[block], **values}}


def _feminine(document: Document) -> Document:
    labels = {key: document["order"].get(key) for key in ("order_status", "shipping_status")}
    return _changed(document, "order", **{key: FEMININE.get(label, label) for key, label in labels.items()})


_BENDS = {
    "missing_utms": _without_utms,
    "null_email": lambda document: _changed(document, "client", client_email=None),
    "unknown_label": lambda document: _changed(
        document, "order", order_status="Situação Nova", shipping_status="Teletransportado"
    ),
    "feminine_label": _feminine,
    "deleted": lambda document: _changed(document, "order", deleted_at="2026-03-09 10:00:00"),
    "text_values": _as_text,
    "dotted_keys": _dotted,
}
"""``dotted_keys`` renames the keys that the others look for, so ``bent`` must come to it last."""


def _cpf(digits: str) -> str:
    return f"{digits[:3]}.{digits[3:6]}.{digits[6:9]}-{digits[9:]}"

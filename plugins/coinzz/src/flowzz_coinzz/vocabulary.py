"""The words Coinzz uses for where an order is, our groups for them, and which comes after which.

Coinzz publishes no list: labels are those seen in the wild (reference §6.4 and §6.5), the groups and ranks are
ours. An unknown label is kept as it came, grouped as ``unknown``, and never a reason to reject anything.

A **rank** says how far along the normal path a label is; an event with a lower rank than the order has is late.
A **setback** has no rank: it may interrupt the path from anywhere and be left to anywhere.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class OrderGroup(StrEnum):
    """What ``order_status`` amounts to."""

    OPEN = "open"
    PAID = "paid"
    LOST = "lost"
    DISPUTE = "dispute"
    UNKNOWN = "unknown"


class ShippingGroup(StrEnum):
    """What ``shipping_status`` amounts to."""

    TO_SHIP = "to_ship"
    MOVING = "moving"
    DELIVERED = "delivered"
    FAILED = "failed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class PaymentMethod(StrEnum):
    """How the customer pays."""

    AFTERPAY = "afterpay"
    PIX = "pix"
    BANK_SLIP = "bank_slip"
    CREDIT_CARD = "credit_card"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OrderLabel:
    group: OrderGroup
    rank: int


@dataclass(frozen=True, slots=True)
class ShippingLabel:
    """``rank`` is None for a setback."""

    group: ShippingGroup
    rank: int | None


RANK_LOST = 15
RANK_ORDER_ENDED = 32
RANK_DELIVERED = 30
RANK_RETURNING = 35

_ORDER: dict[str, OrderLabel] = {
    **dict.fromkeys(
        (
            "pedido criado",
            "aguardando pagamento",
            "processando",
            "em analise",
            "analise de risco",
            "aguardando afiliado",
            "aguardando envio",
            "aguardando chegada",
            "periodo de teste",
        ),
        OrderLabel(OrderGroup.OPEN, 10),
    ),
    **dict.fromkeys(
        ("cancelado", "expirado", "rejeitado", "recusado", "inadimplente", "excluido"),
        OrderLabel(OrderGroup.LOST, RANK_LOST),
    ),
    "parcial": OrderLabel(OrderGroup.PAID, 19),
    "aprovado": OrderLabel(OrderGroup.PAID, 20),
    "reclamado": OrderLabel(OrderGroup.DISPUTE, 30),
    "contestado": OrderLabel(OrderGroup.DISPUTE, 30),
    "reembolso em andamento": OrderLabel(OrderGroup.DISPUTE, 31),
    "reembolsado": OrderLabel(OrderGroup.DISPUTE, RANK_ORDER_ENDED),
    "chargeback": OrderLabel(OrderGroup.DISPUTE, RANK_ORDER_ENDED),
}

_SHIPPING: dict[str, ShippingLabel] = {
    **dict.fromkeys(
        ("a enviar", "a confirmar", "aguardando analise", "processando", "processando nota"),
        ShippingLabel(ShippingGroup.TO_SHIP, 10),
    ),
    "parcialmente enviado": ShippingLabel(ShippingGroup.MOVING, 20),
    "enviado": ShippingLabel(ShippingGroup.MOVING, 21),
    "a caminho": ShippingLabel(ShippingGroup.MOVING, 22),
    "aguardando retirada na agencia": ShippingLabel(ShippingGroup.MOVING, 23),
    "a reagendar": ShippingLabel(ShippingGroup.MOVING, None),
    "parcialmente recebido": ShippingLabel(ShippingGroup.DELIVERED, RANK_DELIVERED),
    "recebido": ShippingLabel(ShippingGroup.DELIVERED, RANK_DELIVERED + 1),
    "em devolucao": ShippingLabel(ShippingGroup.FAILED, RANK_RETURNING),
    "devolvido": ShippingLabel(ShippingGroup.FAILED, 40),
    "cancelado": ShippingLabel(ShippingGroup.FAILED, 40),
    "sem sucesso": ShippingLabel(ShippingGroup.FAILED, None),
    "suspenso": ShippingLabel(ShippingGroup.FAILED, None),
    **dict.fromkeys(
        ("fundos insuficientes", "saldo insuficiente", "erro", "falha na emissao fiscal"),
        ShippingLabel(ShippingGroup.BLOCKED, None),
    ),
}

_PAYMENT: dict[str, PaymentMethod] = {
    "afterpay": PaymentMethod.AFTERPAY,
    "venda pos-paga": PaymentMethod.AFTERPAY,
    "venda pos paga": PaymentMethod.AFTERPAY,
    "pagamento na entrega": PaymentMethod.AFTERPAY,
    "pix": PaymentMethod.PIX,
    "bank_slip": PaymentMethod.BANK_SLIP,
    "boleto": PaymentMethod.BANK_SLIP,
    "boleto bancario": PaymentMethod.BANK_SLIP,
    "credit_card": PaymentMethod.CREDIT_CARD,
    "cartao de credito": PaymentMethod.CREDIT_CARD,
}


@lru_cache(maxsize=4096)  # a company's orders have few labels, each thousands of times
def fold(label: str) -> str:
    """``label`` for comparing: lower case, no accents, single spaces, trimmed. ``Em  Análise`` → ``em analise``."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", label) if not unicodedata.combining(c))
    return " ".join(bare.casefold().split())


def canonical(label: str) -> str:
    """``label`` folded, and in the masculine where that is the form we know: ``Aprovada`` → ``aprovado``."""
    folded = fold(label)
    if folded in _ORDER or folded in _SHIPPING or not folded.endswith("a"):
        return folded
    masculine = f"{folded[:-1]}o"
    return masculine if masculine in _ORDER or masculine in _SHIPPING else folded


def order_label(label: str | None) -> OrderLabel | None:
    """What we know of an ``order_status``; None for no label and for an unknown one."""
    return _ORDER.get(canonical(label)) if label else None


def shipping_label(label: str | None) -> ShippingLabel | None:
    """What we know of a ``shipping_status``; None for no label and for an unknown one."""
    return _SHIPPING.get(canonical(label)) if label else None


def order_group(label: str | None) -> OrderGroup:
    known = order_label(label)
    return known.group if known else OrderGroup.UNKNOWN


def shipping_group(label: str | None) -> ShippingGroup:
    known = shipping_label(label)
    return known.group if known else ShippingGroup.UNKNOWN


def payment_method(label: str | None) -> PaymentMethod:
    return _PAYMENT.get(fold(label), PaymentMethod.UNKNOWN) if label else PaymentMethod.UNKNOWN

"""How orders of the sandbox live: from label to label, and how far along those of a shop are on any day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CREATED = ("Aguardando envio", "A enviar")
UNPAID = ("Aguardando pagamento", "A enviar")
LIVES: dict[str, tuple[tuple[str, str], ...]] = {
    "delivered": (CREATED, ("Aguardando envio", "Enviado"), ("Aprovado", "Recebido")),
    "returned": (
        CREATED,
        ("Aguardando envio", "Enviado"),
        ("Aguardando envio", "Em devolução"),
        ("Cancelado", "Devolvido"),
    ),
    "cancelled": (CREATED, ("Cancelado", "Cancelado")),
    "chargeback": (
        CREATED,
        ("Aguardando envio", "Enviado"),
        ("Aprovado", "Recebido"),
        ("Chargeback", "Recebido"),
    ),
    "rescheduled": (
        CREATED,
        ("Aguardando envio", "A caminho"),
        ("Aguardando envio", "A reagendar"),
        ("Aprovado", "Recebido"),
    ),
    "prepaid": (UNPAID, ("Aprovado", "A enviar"), ("Aprovado", "Enviado"), ("Aprovado", "Recebido")),
    "expired": (UNPAID, ("Expirado", "Cancelado")),
    "refunded": (UNPAID, ("Aprovado", "A enviar"), ("Reembolsado", "Cancelado")),
}
"""Lives an order can lead, as (order_status, shipping_status)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """``share`` of a hundred orders are paid by ``method`` and ``steps`` along ``life``."""

    share: int
    life: str
    steps: int
    method: str


MIXTURE = (
    Stage(34, "delivered", 3, "afterpay"),
    Stage(9, "delivered", 2, "afterpay"),
    Stage(8, "delivered", 1, "afterpay"),
    Stage(4, "rescheduled", 4, "afterpay"),
    Stage(3, "rescheduled", 3, "afterpay"),
    Stage(8, "returned", 4, "afterpay"),
    Stage(3, "returned", 3, "afterpay"),
    Stage(7, "cancelled", 2, "afterpay"),
    Stage(1, "chargeback", 4, "afterpay"),
    Stage(8, "prepaid", 4, "pix"),
    Stage(4, "prepaid", 4, "credit_card"),
    Stage(3, "prepaid", 3, "credit_card"),
    Stage(3, "prepaid", 2, "pix"),
    Stage(2, "prepaid", 1, "bank_slip"),
    Stage(2, "expired", 2, "bank_slip"),
    Stage(1, "refunded", 3, "credit_card"),
)
"""A shop that sells mostly on delivery. The labels are of the reference (§6.4, §6.5); the shares are our invention."""

_HUNDRED = tuple(stage for stage in MIXTURE for _ in range(stage.share))
_STRIDE = 37
"""Prime to a hundred: neighbours differ, and any hundred orders in a row have all the shares."""


def stage_of(index: int) -> Stage:
    """Where the mixture has the order of that ``index``; always the same."""
    return _HUNDRED[index * _STRIDE % len(_HUNDRED)]


def move(order: dict[str, Any], status: str, shipping: str) -> None:
    """One step: the labels of now, and a tracking code once the parcel has left."""
    left = shipping not in ("A enviar", "Cancelado")
    order.update(
        order_status=status,
        shipping_status=shipping,
        tracking_code=f"BR{order['index']:09d}" if left else order["tracking_code"],
        step=order["step"] + 1,
    )

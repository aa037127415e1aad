"""The rows a report is made of: two topics, and the columns that a source of each must give.

Any plugin may offer a source (``flowzz_data_sources``). Where something is not known its column is NULL, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flowzz.plugins.contributions import DataColumn

TopicName = Literal["sales", "ad_performance"]

STATES: Mapping[str, str] = {
    "paid": "Pago",
    "open": "Em aberto",
    "shipped": "Enviado",
    "delivered": "Entregue",
    "returned": "Devolvido",
    "refunded": "Reembolsado",
    "canceled": "Cancelado",
    "unknown": "Desconhecido",
}
"""The states of a sale, in the order a report lists them, and what it calls them."""


@dataclass(frozen=True, slots=True)
class Topic:
    """``moment`` is the column that says when a row happened; ``hint`` is a distribution that offers the topic."""

    name: TopicName
    title: str
    moment: str
    hint: str
    columns: Mapping[str, DataColumn]


def _columns(*columns: DataColumn) -> Mapping[str, DataColumn]:
    return {column.name: column for column in columns}


SALES = Topic(
    "sales",
    "Vendas",
    "ordered_at",
    "flowzz-coinzz",
    _columns(
        DataColumn(name="order_number", title="Pedido", kind="text"),
        DataColumn(name="ordered_at", title="Data", kind="datetime"),
        DataColumn(name="status", title="Status", kind="text", description="As the upstream calls it."),
        DataColumn(name="state", title="Situação", kind="text", description=f"One of {', '.join(STATES)}."),
        DataColumn(name="counts", title="Conta como receita", kind="boolean"),
        DataColumn(name="amount", title="Valor", kind="money"),
        DataColumn(name="quantity", title="Quantidade", kind="integer"),
        DataColumn(name="product", title="Produto", kind="text"),
        DataColumn(name="offer", title="Oferta", kind="text"),
        DataColumn(name="client", title="Cliente", kind="text"),
        DataColumn(
            name="client_key",
            title="Identificação do cliente",
            kind="text",
            description="Who it is: document, else e-mail, else phone.",
        ),
        DataColumn(name="uf", title="UF", kind="text"),
        DataColumn(name="payment_method", title="Pagamento", kind="text"),
        DataColumn(name="utm_source", title="UTM origem", kind="text"),
        DataColumn(name="utm_medium", title="UTM mídia", kind="text"),
        DataColumn(name="utm_campaign", title="UTM campanha", kind="text"),
        DataColumn(name="utm_content", title="UTM conteúdo", kind="text"),
        DataColumn(name="utm_term", title="UTM termo", kind="text"),
        DataColumn(name="currency", title="Moeda", kind="text"),
    ),
)
"""One row an order."""

AD_PERFORMANCE = Topic(
    "ad_performance",
    "Anúncios",
    "date",
    "flowzz-facebook",
    _columns(
        DataColumn(name="date", title="Data", kind="date"),
        DataColumn(name="account_id", title="ID da conta", kind="text"),
        DataColumn(name="account", title="Conta", kind="text"),
        DataColumn(name="campaign_id", title="ID da campanha", kind="text"),
        DataColumn(name="campaign", title="Campanha", kind="text"),
        DataColumn(name="ad_set_id", title="ID do conjunto", kind="text"),
        DataColumn(name="ad_set", title="Conjunto", kind="text"),
        DataColumn(name="ad_id", title="ID do anúncio", kind="text"),
        DataColumn(name="ad", title="Anúncio", kind="text"),
        DataColumn(name="currency", title="Moeda", kind="text"),
        DataColumn(name="spend", title="Investimento", kind="money"),
        DataColumn(name="impressions", title="Impressões", kind="integer"),
        DataColumn(name="clicks", title="Cliques", kind="integer"),
        DataColumn(name="reach", title="Alcance", kind="integer"),
        DataColumn(name="purchases", title="Compras (anúncios)", kind="decimal"),
        DataColumn(name="purchase_value", title="Valor das compras (anúncios)", kind="money"),
    ),
)
"""One row an ad and day."""

TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in (SALES, AD_PERFORMANCE)}

_WIDTHS = {"text": 18, "datetime": 17, "date": 12, "boolean": 9}
_OWN_WIDTHS = {
    "uf": 7,
    "currency": 8,
    "state": 13,
    "order_number": 15,
    **dict.fromkeys(("product", "client", "campaign", "ad_set", "ad", "offer", "utm_campaign"), 28),
}


def width_of(column: DataColumn) -> int:
    """How wide a column wants to be, in characters."""
    return _OWN_WIDTHS.get(column.name, _WIDTHS.get(column.kind, 15))

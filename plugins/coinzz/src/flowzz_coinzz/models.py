"""The plugin's tables, all named ``coinzz_*``. The migrations make them; this page says what they hold.

They are plain tables: rows are written a page at a time with ``INSERT … ON CONFLICT``, never one by one.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from flowzz.plugins.contributions import Migrations
from flowzz.store.columns import Money, UtcDateTime

metadata = MetaData()
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _ROW_ID, primary_key=True, autoincrement=True)


orders = Table(
    "coinzz_orders",
    metadata,
    _id(),
    Column("company_id", Text, nullable=False),
    Column("order_number", Text, nullable=False),
    # Where it stands: the label as it came, and our group for it (vocabulary.py).
    Column("order_status", Text),
    Column("order_group", Text),
    Column("shipping_status", Text),
    Column("shipping_group", Text),
    Column("deleted_at", UtcDateTime),
    Column("tracking_code", Text),
    Column("courier_name", Text),
    # When: the moment, and the day in America/Sao_Paulo that reports group by.
    Column("ordered_at", UtcDateTime),
    Column("day", Date),
    # How much, in reais.
    Column("final_price", Money),
    Column("quantity", Integer),
    Column("installments", Integer),
    Column("payment_label", Text),
    Column("payment_method", Text),
    Column("producer_commission", Money),
    Column("affiliate_commission", Money),
    Column("transaction_fee", Money),
    Column("antifraud_fee", Money),
    Column("financial_fees", Money),
    Column("logistic_fee", Money),
    # What.
    Column("product_code", Text),
    Column("product_name", Text),
    Column("offer_code", Text),
    Column("offer_name", Text),
    # Who. ``client_phone`` is E.164 where the number could be read; the raw one is kept beside it.
    Column("client_name", Text),
    Column("client_email", Text),
    Column("client_phone", Text),
    Column("client_phone_raw", Text),
    Column("client_document", Text),
    Column("street", Text),
    Column("street_number", Text),
    Column("district", Text),
    Column("complement", Text),
    Column("city", Text),
    Column("state", Text),
    Column("zip_code", Text),
    Column("country", Text),
    Column("producer_name", Text),
    Column("producer_email", Text),
    Column("affiliate_name", Text),
    Column("affiliate_email", Text),
    Column("affiliate_phone", Text),
    Column("utm_source", Text),
    Column("utm_medium", Text),
    Column("utm_campaign", Text),
    Column("utm_content", Text),
    Column("utm_term", Text),
    Column("first_order", Boolean),
    Column("second_order", Boolean),
    Column("delivery_days", Integer),
    Column("delivery_time", Text),
    # Payment links, agency, co-producers, terms: kept as they came.
    Column("details", JSON),
    # Book-keeping. A row without a fingerprint is only being made; no other transaction ever sees one.
    Column("fingerprint", Text),
    Column("state_arrived_at", UtcDateTime),
    Column("suspicious", Boolean, nullable=False, default=False),
    Column("pull_run", Text),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("company_id", "order_number", name="uq_coinzz_orders_company_order"),
)

events = Table(
    "coinzz_events",
    metadata,
    _id(),
    Column("event_id", Text, nullable=False, unique=True),
    Column("company_id", Text, nullable=False),
    Column("connection_id", Text),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("order_number", Text),
    Column("fingerprint", Text),
    Column("body", LargeBinary, nullable=False),
    Column("arrived_at", UtcDateTime, nullable=False),
    Column("processed_at", UtcDateTime),
    Column("effect", Text),
    Column("suspicious", Boolean, nullable=False, default=False),
    Column("problem", Text),
)
"""Append-only: a row is added when something is seen and marked once, when it is processed.

``effect`` is what it did (``ordering.Effect``); ``problem`` says what could not be read, or why it changed nothing.
"""

affiliations = Table(
    "coinzz_affiliations",
    metadata,
    _id(),
    Column("company_id", Text, nullable=False),
    Column("affiliate_email", Text, nullable=False),
    Column("product_name", Text, nullable=False),
    Column("affiliate_name", Text),
    Column("affiliate_phone", Text),
    Column("request_status", Text),
    Column("requested_at", UtcDateTime),
    Column("arrived_at", UtcDateTime, nullable=False),
    UniqueConstraint("company_id", "affiliate_email", "product_name", name="uq_coinzz_affiliations_key"),
)

subscriptions = Table(
    "coinzz_subscriptions",
    metadata,
    _id(),
    Column("company_id", Text, nullable=False),
    Column("subscription_hash", Text, nullable=False),
    Column("status", Text),
    Column("frequency", Text),
    Column("cycle", Text),
    Column("next_charge_at", UtcDateTime),
    Column("order_number", Text),
    Column("client_name", Text),
    Column("client_email", Text),
    Column("client_phone", Text),
    Column("client_document", Text),
    Column("product_name", Text),
    Column("final_price", Money),
    Column("sent_at", UtcDateTime),
    Column("sent_name", Text),
    Column("arrived_at", UtcDateTime, nullable=False),
    UniqueConstraint("company_id", "subscription_hash", name="uq_coinzz_subscriptions_key"),
)

sync_state = Table(
    "coinzz_sync_state",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("watermark", UtcDateTime),
    Column("last_success_at", UtcDateTime),
    Column("last_synced", Integer),
    Column("last_errors", Integer),
)
"""``watermark`` is the moment before the last successful run asked for its first page."""

sale_attempts = Table(
    "coinzz_sale_attempts",
    metadata,
    Column("company_id", Text, primary_key=True),
    Column("sale_key", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("offer_code", Text, nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("order_hash", Text),
    Column("problem", Text),
)
"""What we asked Coinzz to sell, under a key of our own, because Coinzz knows no idempotency key."""

MIGRATIONS = Migrations(plugin="coinzz", folder=Path(__file__).parent / "migrations")

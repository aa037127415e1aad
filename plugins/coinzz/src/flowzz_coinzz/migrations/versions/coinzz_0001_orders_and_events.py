"""Orders, the event log, affiliations, subscriptions, sync state and sale attempts.

Revision ID: coinzz_0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import Money, UtcDateTime

revision = "coinzz_0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _orders()
    _events()
    _affiliations()
    _subscriptions()
    _sync_state()
    _sale_attempts()


def downgrade() -> None:
    for table in ("sale_attempts", "sync_state", "subscriptions", "affiliations", "events", "orders"):
        op.drop_table(f"coinzz_{table}")


def _id() -> sa.Column[int]:
    return sa.Column("id", ROW_ID, primary_key=True, autoincrement=True)


def _company(*, primary_key: bool = False) -> sa.Column[str]:
    owner = sa.ForeignKey("flowzz_companies.id", ondelete="CASCADE")
    return sa.Column("company_id", sa.Text, owner, nullable=False, primary_key=primary_key)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text) for name in names]


def _orders() -> None:
    op.create_table(
        "coinzz_orders",
        _id(),
        _company(),
        sa.Column("order_number", sa.Text, nullable=False),
        *_texts("order_status", "order_group", "shipping_status", "shipping_group"),
        sa.Column("deleted_at", UtcDateTime),
        *_texts("tracking_code", "courier_name"),
        sa.Column("ordered_at", UtcDateTime),
        sa.Column("day", sa.Date),
        sa.Column("final_price", Money),
        sa.Column("quantity", sa.Integer),
        sa.Column("installments", sa.Integer),
        *_texts("payment_label", "payment_method"),
        *(
            sa.Column(name, Money)
            for name in (
                "producer_commission",
                "affiliate_commission",
                "transaction_fee",
                "antifraud_fee",
                "financial_fees",
                "logistic_fee",
            )
        ),
        *_texts("product_code", "product_name", "offer_code", "offer_name"),
        *_texts("client_name", "client_email", "client_phone", "client_phone_raw", "client_document"),
        *_texts("street", "street_number", "district", "complement", "city", "state", "zip_code", "country"),
        *_texts("producer_name", "producer_email", "affiliate_name", "affiliate_email", "affiliate_phone"),
        *_texts("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"),
        sa.Column("first_order", sa.Boolean),
        sa.Column("second_order", sa.Boolean),
        sa.Column("delivery_days", sa.Integer),
        sa.Column("delivery_time", sa.Text),
        sa.Column("details", sa.JSON),
        sa.Column("fingerprint", sa.Text),
        sa.Column("state_arrived_at", UtcDateTime),
        sa.Column("suspicious", sa.Boolean, nullable=False),
        sa.Column("pull_run", sa.Text),
        sa.Column("first_seen_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("company_id", "order_number", name="uq_coinzz_orders_company_order"),
    )
    op.create_index("ix_coinzz_orders_day", "coinzz_orders", ["company_id", "day"])
    op.create_index("ix_coinzz_orders_pull_run", "coinzz_orders", ["company_id", "pull_run"])


def _events() -> None:
    op.create_table(
        "coinzz_events",
        _id(),
        sa.Column("event_id", sa.Text, nullable=False),
        _company(),
        sa.Column("connection_id", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        *_texts("order_number", "fingerprint"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("arrived_at", UtcDateTime, nullable=False),
        sa.Column("processed_at", UtcDateTime),
        sa.Column("effect", sa.Text),
        sa.Column("suspicious", sa.Boolean, nullable=False),
        sa.Column("problem", sa.Text),
        sa.UniqueConstraint("event_id", name="uq_coinzz_events_event_id"),
    )
    op.create_index("ix_coinzz_events_order", "coinzz_events", ["company_id", "order_number", "fingerprint"])
    pending = sa.text("processed_at IS NULL")
    op.create_index(
        "ix_coinzz_events_pending",
        "coinzz_events",
        ["company_id", "arrived_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def _affiliations() -> None:
    op.create_table(
        "coinzz_affiliations",
        _id(),
        _company(),
        sa.Column("affiliate_email", sa.Text, nullable=False),
        sa.Column("product_name", sa.Text, nullable=False),
        *_texts("affiliate_name", "affiliate_phone", "request_status"),
        sa.Column("requested_at", UtcDateTime),
        sa.Column("arrived_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("company_id", "affiliate_email", "product_name", name="uq_coinzz_affiliations_key"),
    )


def _subscriptions() -> None:
    op.create_table(
        "coinzz_subscriptions",
        _id(),
        _company(),
        sa.Column("subscription_hash", sa.Text, nullable=False),
        *_texts("status", "frequency", "cycle"),
        sa.Column("next_charge_at", UtcDateTime),
        *_texts("order_number", "client_name", "client_email", "client_phone", "client_document", "product_name"),
        sa.Column("final_price", Money),
        sa.Column("sent_at", UtcDateTime),
        sa.Column("sent_name", sa.Text),
        sa.Column("arrived_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("company_id", "subscription_hash", name="uq_coinzz_subscriptions_key"),
    )


def _sync_state() -> None:
    owner = sa.ForeignKey("flowzz_connections.id", ondelete="CASCADE")
    op.create_table(
        "coinzz_sync_state",
        sa.Column("connection_id", sa.Text, owner, primary_key=True),
        _company(),
        sa.Column("watermark", UtcDateTime),
        sa.Column("last_success_at", UtcDateTime),
        sa.Column("last_synced", sa.Integer),
        sa.Column("last_errors", sa.Integer),
    )


def _sale_attempts() -> None:
    op.create_table(
        "coinzz_sale_attempts",
        _company(primary_key=True),
        sa.Column("sale_key", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("offer_code", sa.Text, nullable=False),
        sa.Column("sent_at", UtcDateTime, nullable=False),
        *_texts("order_hash", "problem"),
    )
    op.create_index("ix_coinzz_sale_attempts_match", "coinzz_sale_attempts", ["company_id", "document", "offer_code"])

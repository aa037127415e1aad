"""Messages, their statuses, contacts, webhooks as they came, and phones of users.

Revision ID: whatsapp_0001
Revises:
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import UtcDateTime

revision = "whatsapp_0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _messages()
    _statuses()
    _contacts()
    _events()
    _user_phones()


def downgrade() -> None:
    for table in ("user_phones", "events", "contacts", "statuses", "messages"):
        op.drop_table(f"whatsapp_{table}")


def _id() -> sa.Column[int]:
    return sa.Column("id", ROW_ID, primary_key=True, autoincrement=True)


def _company() -> sa.Column[str]:
    owner = sa.ForeignKey("flowzz_companies.id", ondelete="CASCADE")
    return sa.Column("company_id", sa.Text, owner, nullable=False)


def _texts(*names: str, required: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=not required) for name in names]


def _moments(*names: str, required: bool = False) -> list[sa.Column[datetime]]:
    return [sa.Column(name, UtcDateTime, nullable=not required) for name in names]


def _messages() -> None:
    op.create_table(
        "whatsapp_messages",
        _id(),
        _company(),
        *_texts("connection_id", "phone_number_id", "job_id", "correlation", "fingerprint", required=True),
        *_texts("recipient", "match_key", required=True),
        *_texts("wa_id", "user_id"),
        *_texts("kind", "body", required=True),
        *_texts("template_name", "template_language"),
        sa.Column("template_parts", sa.JSON),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text),
        sa.Column("error_code", sa.Integer),
        sa.Column("problem", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("throttles", sa.Integer, nullable=False),
        sa.Column("resend_of", ROW_ID),
        *_moments("created_at", required=True),
        *_moments("requested_at", "unknown_at", "accepted_at", "sent_at", "delivered_at", "read_at", "failed_at"),
        *_moments("updated_at", required=True),
        sa.UniqueConstraint("correlation", name="uq_whatsapp_messages_correlation"),
    )
    op.create_index("ix_whatsapp_messages_list", "whatsapp_messages", ["company_id", "created_at"])
    op.create_index("ix_whatsapp_messages_state", "whatsapp_messages", ["company_id", "state", "created_at"])
    op.create_index("ix_whatsapp_messages_message_id", "whatsapp_messages", ["message_id"])


def _statuses() -> None:
    op.create_table(
        "whatsapp_statuses",
        _id(),
        _company(),
        *_texts("phone_number_id", "message_id", "status", required=True),
        *_moments("happened_at", required=True),
        *_texts("participant", required=True),
        *_texts("correlation", "wa_id", "user_id"),
        sa.Column("error_code", sa.Integer),
        sa.Column("problem", sa.Text),
        *_moments("arrived_at", required=True),
        sa.Column("message_row", ROW_ID, sa.ForeignKey("whatsapp_messages.id", ondelete="CASCADE")),
        sa.UniqueConstraint(
            "company_id", "message_id", "status", "happened_at", "participant", name="uq_whatsapp_statuses_once"
        ),
    )
    op.create_index("ix_whatsapp_statuses_message_row", "whatsapp_statuses", ["message_row"])


def _contacts() -> None:
    op.create_table(
        "whatsapp_contacts",
        _id(),
        _company(),
        *_texts("phone_number_id", "contact_key", required=True),
        *_texts("wa_id", "user_id", "name"),
        *_moments("last_incoming_at", required=True),
        sa.UniqueConstraint("company_id", "phone_number_id", "contact_key", name="uq_whatsapp_contacts_key"),
    )


def _events() -> None:
    op.create_table(
        "whatsapp_events",
        _id(),
        _company(),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("connection_id", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        *_moments("arrived_at", required=True),
        *_moments("processed_at"),
        sa.Column("statuses", sa.Integer),
        sa.Column("incoming", sa.Integer),
        sa.Column("problem", sa.Text),
        sa.UniqueConstraint("event_id", name="uq_whatsapp_events_event_id"),
    )
    pending = sa.text("processed_at IS NULL")
    op.create_index(
        "ix_whatsapp_events_pending",
        "whatsapp_events",
        ["company_id", "arrived_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def _user_phones() -> None:
    owner = sa.ForeignKey("flowzz_users.id", ondelete="CASCADE")
    op.create_table(
        "whatsapp_user_phones",
        sa.Column("user_id", sa.Text, owner, primary_key=True),
        sa.Column("phone", sa.Text, nullable=False),
        *_moments("updated_at", required=True),
    )

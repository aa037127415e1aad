"""When a message's content was deleted, and what finds the rows whose time is over.

Revision ID: whatsapp_0002
Revises: whatsapp_0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import UtcDateTime

revision = "whatsapp_0002"
down_revision = "whatsapp_0001"
branch_labels = None
depends_on = None

# Name → table, column, of which rows.
INDEXES = {
    "ix_whatsapp_messages_with_content": ("whatsapp_messages", "created_at", "content_deleted_at IS NULL"),
    "ix_whatsapp_messages_guards": ("whatsapp_messages", "created_at", "content_deleted_at IS NOT NULL"),
    "ix_whatsapp_messages_resend_of": ("whatsapp_messages", "resend_of", "resend_of IS NOT NULL"),
    "ix_whatsapp_events_processed": ("whatsapp_events", "arrived_at", "processed_at IS NOT NULL"),
    "ix_whatsapp_contacts_last_incoming": ("whatsapp_contacts", "last_incoming_at", None),
}


def upgrade() -> None:
    op.add_column("whatsapp_messages", sa.Column("resend_job", sa.Text))
    op.add_column("whatsapp_messages", sa.Column("content_deleted_at", UtcDateTime))
    # Their resend may be queued under this id. What was delivered never fails, so is never sent again.
    op.execute(
        "UPDATE whatsapp_messages SET resend_job = 'whatsapp-resend-' || id WHERE state NOT IN ('delivered', 'read')"
    )
    for name, (table, column, rows) in INDEXES.items():
        which = None if rows is None else sa.text(rows)
        op.create_index(name, table, [column], sqlite_where=which, postgresql_where=which)


def downgrade() -> None:
    for name, (table, _, _) in INDEXES.items():
        op.drop_index(name, table_name=table)
    op.drop_column("whatsapp_messages", "content_deleted_at")
    op.drop_column("whatsapp_messages", "resend_job")

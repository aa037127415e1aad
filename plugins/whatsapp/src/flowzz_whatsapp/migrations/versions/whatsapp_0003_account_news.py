"""What Meta tells of templates, numbers and the account.

Revision ID: whatsapp_0003
Revises: whatsapp_0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import UtcDateTime

revision = "whatsapp_0003"
down_revision = "whatsapp_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    owner = sa.ForeignKey("flowzz_companies.id", ondelete="CASCADE")
    op.create_table(
        "whatsapp_account_news",
        sa.Column("id", row_id, primary_key=True, autoincrement=True),
        sa.Column("company_id", sa.Text, owner, nullable=False),
        sa.Column("waba_id", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        *[sa.Column(name, sa.Text) for name in ("subject", "told", "before", "reason")],
        sa.Column("happened_at", UtcDateTime, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.UniqueConstraint("company_id", "digest", name="uq_whatsapp_account_news_once"),
    )
    op.create_index("ix_whatsapp_account_news_list", "whatsapp_account_news", ["company_id", "happened_at"])
    op.create_index("ix_whatsapp_account_news_happened", "whatsapp_account_news", ["happened_at"])


def downgrade() -> None:
    op.drop_table("whatsapp_account_news")

"""The reports of each company.

Revision ID: report_0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import UtcDateTime

revision = "report_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    owner = sa.ForeignKey("flowzz_companies.id", ondelete="CASCADE")
    op.create_table(
        "report_reports",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("execution", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, owner, nullable=False),
        sa.Column("report_type", sa.Text, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("filters", sa.JSON, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("file", sa.Text),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("sha256", sa.Text),
        sa.Column("rows", sa.Integer),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("began_at", UtcDateTime, nullable=False),
        sa.Column("generated_at", UtcDateTime),
        sa.Column("expires_at", UtcDateTime),
        sa.UniqueConstraint("job_id", name="uq_report_reports_job"),
    )
    op.create_index("ix_report_reports_company", "report_reports", ["company_id", "created_at"])
    op.create_index("ix_report_reports_expiry", "report_reports", ["state", "expires_at"])


def downgrade() -> None:
    op.drop_table("report_reports")

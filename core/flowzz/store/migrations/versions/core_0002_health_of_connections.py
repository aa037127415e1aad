"""Since when a connection is in its state, when it was tested last, and when a job last completed with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import UtcDateTime

revision = "core_0002"
down_revision = "core_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("flowzz_connections", sa.Column("state_since", UtcDateTime))
    op.add_column("flowzz_connections", sa.Column("checked_at", UtcDateTime))
    op.add_column("flowzz_connections", sa.Column("check_problem", sa.Text))
    op.add_column("flowzz_connections", sa.Column("succeeded_at", UtcDateTime))

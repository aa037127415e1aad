"""Companies, their connections, users and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import UtcDateTime

revision = "core_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flowzz_companies",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_flowzz_companies"),
    )
    _connections()
    op.create_table(
        "flowzz_users",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_flowzz_users"),
        sa.UniqueConstraint("email", name="uq_flowzz_users_email"),
    )
    _audit()


def _connections() -> None:
    op.create_table(
        "flowzz_connections",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("plugin", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("state_reason", sa.Text),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("sealed_secrets", sa.Text, nullable=False),
        sa.Column("token_digest", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_flowzz_connections"),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["flowzz_companies.id"],
            name="fk_flowzz_connections_company_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_flowzz_connections_plugin", "flowzz_connections", ["plugin", "created_at"])
    op.create_index("ix_flowzz_connections_company_id", "flowzz_connections", ["company_id", "plugin"])


def _audit() -> None:
    op.create_table(
        "flowzz_audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_flowzz_audit"),
    )
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER flowzz_audit_no_{verb.lower()} BEFORE {verb} ON flowzz_audit "
                "BEGIN SELECT RAISE(ABORT, 'flowzz_audit is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION flowzz_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'flowzz_audit is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER flowzz_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON flowzz_audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION flowzz_audit_refuse()"
    )

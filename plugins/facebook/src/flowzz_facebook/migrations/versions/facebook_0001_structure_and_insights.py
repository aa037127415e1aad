"""Ad accounts, campaigns, ad sets, ads, daily insights and the state of syncs.

Revision ID: facebook_0001
Revises:
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from flowzz.store.columns import Money, UtcDateTime

revision = "facebook_0001"
down_revision = None
branch_labels = None
depends_on = None

STATUSES = ("name", "status", "configured_status", "effective_status")
TABLES = ("sync_state", "insights", "ads", "ad_sets", "campaigns", "accounts")


def upgrade() -> None:
    _accounts()
    _campaigns()
    _ad_sets()
    _ads()
    _insights()
    _sync_state()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(f"facebook_{table}")


def _columns(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind) for name in names]


def _company() -> sa.Column[str]:
    owner = sa.ForeignKey("flowzz_companies.id", ondelete="CASCADE")
    return sa.Column("company_id", sa.Text, owner, primary_key=True)


def _key(name: str) -> list[sa.Column[str]]:
    return [_company(), sa.Column(name, sa.Text, primary_key=True)]


def _account() -> sa.Column[str]:
    return sa.Column("account_id", sa.Text, nullable=False)


def _times() -> list[sa.Column[Any]]:
    return [sa.Column("created_at", UtcDateTime), sa.Column("updated_at", UtcDateTime, nullable=False)]


def _accounts() -> None:
    op.create_table(
        "facebook_accounts",
        *_key("account_id"),
        *_columns(sa.Text, "name"),
        *_columns(sa.Integer, "account_status", "disable_reason"),
        *_columns(sa.Text, "currency"),
        sa.Column("timezone", sa.Text, nullable=False),
        *_columns(Money, "amount_spent", "balance"),
        *_columns(UtcDateTime, "created_at"),
    )


def _campaigns() -> None:
    op.create_table(
        "facebook_campaigns",
        *_key("campaign_id"),
        _account(),
        *_columns(sa.Text, *STATUSES, "objective", "buying_type", "bid_strategy"),
        *_columns(Money, "daily_budget", "lifetime_budget", "budget_remaining", "spend_cap"),
        *_columns(sa.JSON, "special_ad_categories"),
        *_columns(UtcDateTime, "started_at", "stops_at"),
        *_times(),
    )


def _ad_sets() -> None:
    op.create_table(
        "facebook_ad_sets",
        *_key("ad_set_id"),
        _account(),
        *_columns(sa.Text, "campaign_id", *STATUSES, "bid_strategy", "billing_event", "optimization_goal"),
        *_columns(Money, "daily_budget", "lifetime_budget", "budget_remaining", "bid_amount"),
        *_columns(sa.JSON, "attribution_spec", "promoted_object", "targeting"),
        *_columns(UtcDateTime, "started_at", "stops_at"),
        *_times(),
    )


def _ads() -> None:
    op.create_table(
        "facebook_ads",
        *_key("ad_id"),
        _account(),
        *_columns(sa.Text, "campaign_id", "ad_set_id", *STATUSES, "creative_id"),
        *_columns(sa.JSON, "tracking_specs"),
        *_times(),
    )


def _insights() -> None:
    op.create_table(
        "facebook_insights",
        *_key("ad_id"),
        sa.Column("day", sa.Date, primary_key=True),
        _account(),
        *_columns(sa.Text, "campaign_id", "ad_set_id", "campaign_name", "ad_set_name", "ad_name", "currency"),
        *_columns(Money, "spend"),
        *_columns(sa.BigInteger, "impressions", "reach", "clicks", "link_clicks"),
        *_columns(Money, "purchases", "purchase_value"),
        sa.Column("purchase_action_type", sa.Text, nullable=False),
    )
    op.create_index("ix_facebook_insights_day", "facebook_insights", ["company_id", "day"])


def _sync_state() -> None:
    connection = sa.ForeignKey("flowzz_connections.id", ondelete="CASCADE")
    op.create_table(
        "facebook_sync_state",
        *_key("account_id"),
        sa.Column("connection_id", sa.Text, connection, nullable=False),
        *_columns(sa.BigInteger, "campaigns_until", "ad_sets_until", "ads_until"),
        *_columns(sa.Date, "insights_until"),
        *_columns(sa.Text, "purchase_action_type"),
        *_columns(UtcDateTime, "last_full_at", "last_success_at"),
        *_columns(sa.Integer, "last_errors"),
        *_columns(sa.Text, "problem"),
    )

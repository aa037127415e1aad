"""The plugin's tables, all named ``facebook_*``. The migrations make them; this page says what they hold.

Plain tables: rows are written a page at a time with ``INSERT … ON CONFLICT``. Nothing in a row tells which run wrote
it, so a run that was interrupted leaves the same rows as one that was not. Ids are text: they go beyond 2^53.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import JSON, BigInteger, Column, Date, Integer, MetaData, Table, Text

from flowzz.plugins.contributions import Migrations
from flowzz.store.columns import Money, UtcDateTime

metadata = MetaData()


def _json(name: str) -> Column[object]:
    return Column(name, JSON(none_as_null=True))


def _key(*names: str) -> list[Column[str]]:
    return [Column(name, Text, primary_key=True) for name in ("company_id", *names)]


accounts = Table(
    "facebook_accounts",
    metadata,
    *_key("account_id"),
    Column("name", Text),
    Column("account_status", Integer),
    Column("disable_reason", Integer),
    Column("currency", Text),
    Column("timezone", Text, nullable=False),
    # In major units of the currency.
    Column("amount_spent", Money),
    Column("balance", Money),
    Column("created_at", UtcDateTime),
)

campaigns = Table(
    "facebook_campaigns",
    metadata,
    *_key("campaign_id"),
    Column("account_id", Text, nullable=False),
    Column("name", Text),
    Column("objective", Text),
    # Raw: new statuses appear.
    Column("status", Text),
    Column("configured_status", Text),
    Column("effective_status", Text),
    Column("buying_type", Text),
    Column("bid_strategy", Text),
    Column("daily_budget", Money),
    Column("lifetime_budget", Money),
    Column("budget_remaining", Money),
    Column("spend_cap", Money),
    _json("special_ad_categories"),
    Column("started_at", UtcDateTime),
    Column("stops_at", UtcDateTime),
    Column("created_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
)
"""``updated_at`` is Meta's; the Unix epoch where it gave none."""

ad_sets = Table(
    "facebook_ad_sets",
    metadata,
    *_key("ad_set_id"),
    Column("account_id", Text, nullable=False),
    Column("campaign_id", Text),
    Column("name", Text),
    Column("status", Text),
    Column("configured_status", Text),
    Column("effective_status", Text),
    Column("daily_budget", Money),
    Column("lifetime_budget", Money),
    Column("budget_remaining", Money),
    Column("bid_amount", Money),
    Column("bid_strategy", Text),
    Column("billing_event", Text),
    Column("optimization_goal", Text),
    _json("attribution_spec"),
    _json("promoted_object"),
    _json("targeting"),
    Column("started_at", UtcDateTime),
    Column("stops_at", UtcDateTime),
    Column("created_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
)

ads = Table(
    "facebook_ads",
    metadata,
    *_key("ad_id"),
    Column("account_id", Text, nullable=False),
    Column("campaign_id", Text),
    Column("ad_set_id", Text),
    Column("name", Text),
    Column("status", Text),
    Column("configured_status", Text),
    Column("effective_status", Text),
    Column("creative_id", Text),
    _json("tracking_specs"),
    Column("created_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
)

insights = Table(
    "facebook_insights",
    metadata,
    *_key("ad_id"),
    Column("day", Date, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("campaign_id", Text),
    Column("ad_set_id", Text),
    # As Meta named them with the numbers; the structure's tables have the present names.
    Column("campaign_name", Text),
    Column("ad_set_name", Text),
    Column("ad_name", Text),
    Column("currency", Text),
    Column("spend", Money),
    Column("impressions", BigInteger),
    Column("reach", BigInteger),
    Column("clicks", BigInteger),
    Column("link_clicks", BigInteger),
    Column("purchases", Money),
    Column("purchase_value", Money),
    Column("purchase_action_type", Text, nullable=False),
)
"""One row an ad and day of the account's time zone, without breakdowns, under the account's own attribution setting.

NULL is what Meta did not report; 0 is what it reported as 0. A day without delivery has no row. Ratios (CTR, CPC, CPM,
ROAS) are to be computed from sums; ``reach`` cannot be added up. ``purchases`` is not always whole. A row stays when
its ad is archived or deleted, although Meta leaves such rows out from then on.
"""

sync_state = Table(
    "facebook_sync_state",
    metadata,
    *_key("account_id"),
    Column("connection_id", Text, nullable=False),
    # The newest updated_time seen by the last successful run, Unix seconds.
    Column("campaigns_until", BigInteger),
    Column("ad_sets_until", BigInteger),
    Column("ads_until", BigInteger),
    Column("insights_until", Date),
    Column("purchase_action_type", Text),
    Column("last_full_at", UtcDateTime),
    Column("last_success_at", UtcDateTime),
    Column("last_errors", Integer),
    # Why the last run failed for good.
    Column("problem", Text),
)

MIGRATIONS = Migrations(plugin="facebook", folder=Path(__file__).parent / "migrations")

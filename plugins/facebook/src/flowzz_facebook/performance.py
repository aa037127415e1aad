"""What other plugins may read of the ads: one row an ad and day, for the topic ``ad_performance``."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Select, and_, func, select

from flowzz.jobs.sources import DataColumn, DataSource
from flowzz_facebook.models import accounts, ad_sets, ads, campaigns, insights

TOPIC = "ad_performance"
SOURCE = "facebook.ad_performance"
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def ad_performance(company_id: str, start: datetime, end: datetime) -> Select[tuple[object, ...]]:
    """Each ad's days that begin, in America/Sao_Paulo, in ``start`` to ``end`` (aware, half open).

    A day is the ad account's own. Names are the present ones, or those Meta sent with the numbers.
    """
    table = insights
    in_company = table.c.company_id == company_id
    joined = (
        table.outerjoin(
            accounts,
            and_(accounts.c.company_id == table.c.company_id, accounts.c.account_id == table.c.account_id),
        )
        .outerjoin(
            campaigns,
            and_(campaigns.c.company_id == table.c.company_id, campaigns.c.campaign_id == table.c.campaign_id),
        )
        .outerjoin(ad_sets, and_(ad_sets.c.company_id == table.c.company_id, ad_sets.c.ad_set_id == table.c.ad_set_id))
        .outerjoin(ads, and_(ads.c.company_id == table.c.company_id, ads.c.ad_id == table.c.ad_id))
    )
    return (
        select(
            table.c.day.label("date"),
            table.c.account_id.label("account_id"),
            accounts.c.name.label("account"),
            table.c.campaign_id.label("campaign_id"),
            func.coalesce(campaigns.c.name, table.c.campaign_name).label("campaign"),
            table.c.ad_set_id.label("ad_set_id"),
            func.coalesce(ad_sets.c.name, table.c.ad_set_name).label("ad_set"),
            table.c.ad_id.label("ad_id"),
            func.coalesce(ads.c.name, table.c.ad_name).label("ad"),
            func.coalesce(table.c.currency, accounts.c.currency).label("currency"),
            table.c.spend.label("spend"),
            table.c.impressions.label("impressions"),
            table.c.clicks.label("clicks"),
            table.c.reach.label("reach"),
            table.c.purchases.label("purchases"),
            table.c.purchase_value.label("purchase_value"),
        )
        .select_from(joined)
        .where(in_company, table.c.day >= _first_day(start), table.c.day < _first_day(end))
    )


def _first_day(moment: datetime) -> date:
    """The first day that begins at ``moment`` or later."""
    local = moment.astimezone(SAO_PAULO)
    begins = datetime(local.year, local.month, local.day, tzinfo=SAO_PAULO)
    return local.date() if local == begins else local.date() + timedelta(days=1)


COLUMNS = (
    DataColumn(name="date", title="Day", kind="date", description="A day of the ad account's time zone."),
    DataColumn(name="account_id", title="Account id", kind="text"),
    DataColumn(name="account", title="Account", kind="text"),
    DataColumn(name="campaign_id", title="Campaign id", kind="text"),
    DataColumn(name="campaign", title="Campaign", kind="text"),
    DataColumn(name="ad_set_id", title="Ad set id", kind="text"),
    DataColumn(name="ad_set", title="Ad set", kind="text"),
    DataColumn(name="ad_id", title="Ad id", kind="text"),
    DataColumn(name="ad", title="Ad", kind="text"),
    DataColumn(name="currency", title="Currency", kind="text"),
    DataColumn(name="spend", title="Spend", kind="money"),
    DataColumn(name="impressions", title="Impressions", kind="integer"),
    DataColumn(name="clicks", title="Clicks", kind="integer"),
    DataColumn(name="reach", title="Reach", kind="integer", description="Cannot be added up over days or ads."),
    DataColumn(name="purchases", title="Purchases", kind="decimal", description="As Meta attributes them."),
    DataColumn(name="purchase_value", title="Purchase value", kind="money"),
)
AD_PERFORMANCE = DataSource(
    name=SOURCE, plugin="facebook", topic=TOPIC, title="Facebook ads by day", columns=COLUMNS, select=ad_performance
)

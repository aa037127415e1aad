"""Campaigns, ad sets and ads: each kind in two listings, what lives and what is deleted or archived (reference §3.2).

A page is one transaction; only then the checkpoint moves on. Rows are overwritten only by ones that are not older.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowzz.store.bulk import upsert
from flowzz_facebook.cursor import Place
from flowzz_facebook.graph import KINDS, Kind, structure_query
from flowzz_facebook.listing import Listing
from flowzz_facebook.models import ad_sets, ads, campaigns
from flowzz_facebook.reading import EPOCH, columns_of, structure_rows
from flowzz_facebook.run import Run
from flowzz_facebook.usage import ADS_MANAGEMENT

LISTINGS = tuple((kind, gone) for kind in KINDS for gone in (False, True))
SHARE = 40.0
"""Percent of the progress that the structure makes up."""

TABLES = {"campaigns": campaigns, "adsets": ad_sets, "ads": ads}


class StructureKeeper:
    """Takes the pages of one listing of the structure."""

    def __init__(self, run: Run, kind: Kind, gone: bool) -> None:
        self.run = run
        self.kind = kind
        self.name = f"{'deleted and archived ' if gone else ''}{kind.edge}"
        self.columns = columns_of(kind.edge, run.cursor.currency)
        self.before, self.log = run.before, run.log

    def store(self, rows: list[Any]) -> int:
        run = self.run
        found, problems, lost = structure_rows(rows, self.columns, run.company_id, run.account)
        table, key = TABLES[self.kind.edge], ("company_id", self.columns[0][0])
        with run.ctx.store.session() as session:
            upsert(session, table, found, key, newer_by="updated_at")
        run.log_problems(self.name, problems)
        seen = max((int(row["updated_at"].timestamp()) for row in found if row["updated_at"] > EPOCH), default=0)
        cursor = run.cursor
        newest = {**cursor.newest, self.kind.edge: max(seen, cursor.newest.get(self.kind.edge, 0))}
        # Not a checkpoint yet: ``reached`` saves it together with the place.
        run.cursor = replace(cursor, newest=newest, errors=cursor.errors + lost)
        return len(found)

    def reached(self, place: Place, *, is_last: bool) -> None:
        cursor = self.run.cursor
        if is_last:
            counts = cursor.counted(self.kind.edge, place.rows)
            self.run.move(listing=cursor.listing + 1, place=None, counts=counts)
        else:
            self.run.move(place=place)
        self.run.progress(SHARE * self.run.cursor.listing / len(LISTINGS), f"{self.name}, page {place.page}")


def sync_structure(run: Run) -> None:
    """Read the listings that are not done yet. Raises what ``Listing.read`` raises."""
    run.client.use(ADS_MANAGEMENT)
    while run.cursor.listing < len(LISTINGS):
        kind, gone = LISTINGS[run.cursor.listing]
        place = run.cursor.place or Place(limit=run.settings.page_size)
        query = structure_query(kind, gone=gone, updated_after=run.cursor.since.get(kind.edge))
        listing = Listing(run.client, StructureKeeper(run, kind, gone))
        listing.read(f"act_{run.account}/{kind.edge}", query, place)

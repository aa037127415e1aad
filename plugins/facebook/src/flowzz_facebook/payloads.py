"""What the job takes and gives."""

from __future__ import annotations

from pydantic import field_validator

from flowzz.jobs.payload import Payload, Result
from flowzz_facebook.connection import bare_account


class SyncCampaigns(Payload):
    """``ad_account_id`` with or without ``act_``; ``force_full_sync`` asks for everything, and all of the history."""

    empresa_id: str
    ad_account_id: str
    force_full_sync: bool = False

    @field_validator("ad_account_id")
    @classmethod
    def _is_account(cls, value: str) -> str:
        return bare_account(value)


class SyncedCampaigns(Result):
    """Objects and daily rows that were received and stored; one that came on two pages counts twice.

    ``errors``: rows that could not be read as one.
    """

    campaigns: int
    ad_sets: int
    ads: int
    insights: int
    errors: int

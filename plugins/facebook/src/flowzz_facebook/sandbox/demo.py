"""The demo: the plugin's job once, on the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from flowzz.plugins.contributions import DemoSession
from flowzz_facebook.sandbox.state import APP_SECRET, TOKEN
from flowzz_facebook.sync import SYNC_JOB

FIRST_ACCOUNT = "1000000000000001"
DEMO_SIZE = {"campaigns": 3, "adSetsEach": 2, "adsEach": 4}
DEMO_HISTORY_DAYS = 56


def connection_fields(base_url: str) -> Mapping[str, Any]:
    """What a connection needs to reach the sandbox at ``base_url``; reports are looked at soon."""
    return {
        "access_token": TOKEN,
        "app_secret": APP_SECRET,
        "ad_account_ids": [FIRST_ACCOUNT],
        "base_url": base_url.rstrip("/"),
        "history_days": DEMO_HISTORY_DAYS,
        "poll_seconds": 0.2,
    }


def run(session: DemoSession) -> None:
    """Seed the sandbox and sync its first ad account."""
    with httpx.Client(base_url=f"{session.sandbox_url.rstrip('/')}/", timeout=30) as http:
        _post(http, "_control/reset", {})
        _post(http, "_control/seed", DEMO_SIZE)
    # Full, so that a second demo on the same data has something to show too.
    session.enqueue(SYNC_JOB, {"empresaId": session.company_id, "adAccountId": FIRST_ACCOUNT, "forceFullSync": True})


def _post(http: httpx.Client, path: str, body: Mapping[str, Any]) -> None:
    http.post(path, json=dict(body)).raise_for_status()

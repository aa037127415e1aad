"""The demo: each of the plugin's jobs once, on the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from flowzz.clock import now
from flowzz.plugins.contributions import DemoSession
from flowzz_coinzz.sandbox.state import TOKEN
from flowzz_coinzz.selling import CREATE_JOB
from flowzz_coinzz.sync import SYNC_JOB
from flowzz_coinzz.webhooks import RECOVER_JOB

DEMO_ORDERS = 137
DEMO_DAYS = 29
DEMO_PAGE = 10
SANDBOX_RATE = 1000.0
SALE: Mapping[str, Any] = {
    "offerHash": "offq7k2m1",
    "paymentMethod": "afterpay",
    "customer": {
        "name": "Cliente Exemplo",
        "email": "cliente@example.com",
        "document": "000.000.001-91",
        "phone": "+55 11 90000-0000",
        "address": {
            "zipCode": "01001-000",
            "street": "Rua Exemplo",
            "number": "100",
            "neighborhood": "Centro",
            "city": "São Paulo",
            "state": "SP",
        },
    },
}


def connection_fields(base_url: str) -> Mapping[str, Any]:
    """What a connection needs to reach the sandbox at ``base_url``: the pull is on there, and no call waits."""
    return {
        "api_token": TOKEN,
        "base_url": f"{base_url.rstrip('/')}/api",
        "pull_enabled": True,
        "per_page": DEMO_PAGE,
        "rate": SANDBOX_RATE,
    }


def run(session: DemoSession) -> None:
    """Seed the sandbox, sync from it, let it post a webhook, and look for forgotten ones."""
    with httpx.Client(base_url=f"{session.sandbox_url.rstrip('/')}/", timeout=30) as http:
        _post(http, "_control/reset", {})
        # A shop in full swing, for reports to have revenue; and a new order, for its first webhook.
        swing = {"orders": DEMO_ORDERS - 1, "per_page": DEMO_PAGE, "mixed": True, "days": DEMO_DAYS}
        _post(http, "_control/seed", swing)
        (new,) = _post(http, "_control/seed", {"orders": 1, "days": 1})["orders"]
        # Full, so that a second demo on the same data has something to show too.
        synced = session.enqueue(SYNC_JOB, {"empresaId": session.company_id, "forceFullSync": True})
        sent = _post(http, f"_control/orders/{new}/advance", {"url": session.webhook_url})
    for answer in sent["answers"]:
        session.expect(_job_id(answer))
    session.enqueue(RECOVER_JOB, {"empresaId": session.company_id})
    # Named by the moment, so that each demo makes a sale of its own; once the sync has counted the others.
    session.wait(synced)
    session.enqueue(CREATE_JOB, {"empresaId": session.company_id, "saleKey": f"demo {now().isoformat()}", **SALE})


def _post(http: httpx.Client, path: str, body: Mapping[str, Any]) -> Any:
    response = http.post(path, json=dict(body))
    response.raise_for_status()
    return response.json()


def _job_id(answer: Mapping[str, Any]) -> str:
    job_id = (answer.get("reply") or {}).get("jobId")
    if not job_id:
        raise RuntimeError(f"the webhook was not taken: {answer}")
    return str(job_id)

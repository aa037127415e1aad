"""The demo: a message with its status coming back, and each of the plugin's jobs once, on the sandbox."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx

from flowzz.plugins.contributions import DemoSession
from flowzz_whatsapp.ended import CLOSE_JOB
from flowzz_whatsapp.history import HISTORY_JOB
from flowzz_whatsapp.retention import DELETE_JOB
from flowzz_whatsapp.sandbox.state import APP_SECRET, PHONE_NUMBER_ID, TOKEN, VERIFY_TOKEN, WABA_ID
from flowzz_whatsapp.send import SEND_JOB
from flowzz_whatsapp.webhooks import RECOVER_JOB

DEMO_PHONE = "+5511987654321"
STATUS_WITHIN_S = 30.0
LOOK_EVERY_S = 0.1


def connection_fields(base_url: str) -> Mapping[str, Any]:
    """What a connection needs to reach the sandbox at ``base_url``."""
    return {
        "access_token": TOKEN,
        "app_secret": APP_SECRET,
        "verify_token": VERIFY_TOKEN,
        "phone_number_id": PHONE_NUMBER_ID,
        "waba_id": WABA_ID,
        "base_url": base_url.rstrip("/"),
        "report_template": "relatorio_pronto",
    }


def run(session: DemoSession) -> None:
    """Let a customer write, answer with a text and a template, see statuses come back, look for lost ones."""
    with httpx.Client(base_url=f"{session.sandbox_url.rstrip('/')}/", timeout=30) as http:
        _ask(http, "POST", "_control/reset")
        _ask(http, "PUT", "_control/settings", {"webhook_url": session.webhook_url})
        _ask(http, "POST", "_control/incoming", {"from": DEMO_PHONE, "text": "Cadê meu pedido?"})
        company = {"empresaId": session.company_id}
        session.enqueue(SEND_JOB, {**company, "to": DEMO_PHONE, "message": "Seu pedido saiu para entrega."})
        template = {"templateName": "pedido_enviado", "templateParams": {"nome": "Ana", "codigo": "BR123456789"}}
        session.enqueue(SEND_JOB, {**company, "to": "+5521987654321", "message": "", **template})
        for job_id in _status_jobs(http):
            session.expect(job_id)
    for job in (RECOVER_JOB, HISTORY_JOB, CLOSE_JOB):
        session.enqueue(job, {"empresaId": session.company_id})
    session.enqueue(DELETE_JOB, {})


def _status_jobs(http: httpx.Client) -> list[str]:
    """The jobs of the webhooks that came back once the first statuses are among them."""
    deadline = time.monotonic() + STATUS_WITHIN_S
    while time.monotonic() < deadline:
        answers = _ask(http, "GET", "_control/deliveries")["deliveries"]
        jobs = [str(reply["jobId"]) for answer in answers if (reply := answer.get("reply")) and reply.get("jobId")]
        # The first is the customer's own message.
        if len(jobs) > 1:
            return jobs
        time.sleep(LOOK_EVERY_S)
    raise RuntimeError(f"no status came back within {STATUS_WITHIN_S:g} s: {answers}")


def _ask(http: httpx.Client, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    response = http.request(method, path, json=None if body is None else dict(body))
    response.raise_for_status()
    return response.json()

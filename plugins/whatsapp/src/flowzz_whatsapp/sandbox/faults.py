"""The switchable faults of this sandbox: what each is; ``flowzz.plugins.sandboxes`` says when it strikes."""

from __future__ import annotations

from flowzz.plugins.sandboxes import Faults

CATALOGUE: dict[str, str] = {
    "token": "401 with code 190. subcode: 463 expired, 460 password changed, 467 invalid (default 463).",
    "forbidden": "403. code: 10 or 200 (default 10).",
    "error": "Refused with a Graph error. code (default 131000), status (default 500), subcode, is_transient, details.",
    "html_error": "A proxy's web page. status: 502 … (default 502); nothing was sent.",
    "html_page": "A web page with status 200.",
    "redirect": "302 to another page.",
    "broken_json": "The message is taken, the answer stops in the middle.",
    "no_message": "The message is taken, the answer names none.",
    "slow": "The message is taken, the answer comes delay seconds late (default 2).",
    "reset_before": "The connection is cut before anything is done.",
    "reset_after": "The connection is cut after the message was taken.",
    "held": "message_status held_for_quality_assessment; it is sent later.",
    "held_then_failed": "The same, and then it fails with 132015.",
    "paused": "message_status paused.",
    "async_failure": "The message is taken, then its status is failed. code (default 131026).",
    "delivered_after_failed": "The message fails, then it is delivered on another device.",
    "skip_delivered": "read comes without delivered.",
    "status_before_answer": "The statuses come before the answer to the send.",
    "late": "The statuses are kept until POST /_control/webhooks/release.",
    "no_statuses": "No status ever comes.",
    "no_echo": "Statuses come without biz_opaque_callback_data.",
}
"""Name to meaning. Each also takes the trigger options: see ``Trigger``."""

OPTIONS: dict[str, set[str]] = {
    "token": {"subcode"},
    "forbidden": {"code"},
    "error": {"code", "status", "subcode", "is_transient", "details"},
    "html_error": {"status"},
    "slow": {"delay"},
    "async_failure": {"code"},
}


def whatsapp_faults() -> Faults:
    """All of them, none on."""
    return Faults(CATALOGUE, OPTIONS)

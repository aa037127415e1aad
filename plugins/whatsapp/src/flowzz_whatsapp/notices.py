"""Tells a user by WhatsApp that something is ready.

A conversation that the business begins needs an approved template, so this goes by the one that the company's
connection names (``report_template``), to the phone that the user has (``phones.py``). Without either it is none of our
business.
"""

from __future__ import annotations

import hashlib

from flowzz.errors import NotFound
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.context import EnqueuePort, StorePort
from flowzz.jobs.notifications import Notification
from flowzz.jobs.options import EnqueueOptions
from flowzz_whatsapp.connection import PLUGIN, WhatsAppConnection
from flowzz_whatsapp.payloads import LONGEST_PARAMETER
from flowzz_whatsapp.phones import phone_of
from flowzz_whatsapp.send import SEND_JOB

KINDS = ("report.ready",)
LONGEST_WORDS = 400
"""Characters of title and text each: a body with all three filled in has at most 1,024."""


def notify(notification: Notification, store: StorePort, queue: EnqueuePort) -> bool:
    """Enqueue one message for the user; True when that was done.

    The job's id is made of the notification's key, so the same notification again is the same message.
    """
    if notification.kind not in KINDS or notification.company_id is None or notification.user_id is None:
        return False
    settings = _settings(store, notification.company_id)
    phone = phone_of(store, notification.user_id)
    if settings is None or not settings.report_template or phone is None:
        return False
    payload = {
        "empresaId": notification.company_id,
        "to": phone,
        "message": notification.title[:LONGEST_WORDS],
        "templateName": settings.report_template,
        "templateParams": [
            _parameter(notification.title, LONGEST_WORDS),
            _parameter(notification.text, LONGEST_WORDS),
            _parameter(notification.link or "", LONGEST_PARAMETER),
        ],
    }
    queue.enqueue(SEND_JOB, payload, EnqueueOptions(job_id=job_id_of(notification.key), nonce=notification.key))
    return True


def job_id_of(key: str) -> str:
    """The same for every repeat of a notification."""
    return f"whatsapp-notice-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


def _settings(store: StorePort, company_id: str) -> WhatsAppConnection | None:
    try:
        connection = store.connection(company_id, PLUGIN)
    except NotFound:
        return None
    is_active = connection.state is ConnectionState.ACTIVE
    return connection.configured(WhatsAppConnection) if is_active else None


def _parameter(text: str, longest: int) -> str:
    """On one line, since templates take no other; never empty."""
    return " ".join(text.split())[:longest] or "–"

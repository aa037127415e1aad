"""Does a connection work?"""

from __future__ import annotations

from datetime import timedelta

from flowzz.errors import Permanent
from flowzz.jobs.connection import Connection
from flowzz_whatsapp.client import CloudApi
from flowzz_whatsapp.connection import WhatsAppConnection
from flowzz_whatsapp.errors import Overrun

CHECK_TIMEOUT = timedelta(seconds=10)


def check(connection: Connection) -> None:
    """Ask Meta for the sender, with token and app secret proof.

    Raises NeedsCredentials, WrongEndpoint, TransientError, Refused, or Permanent when the sender may not send; each
    with words a person can act on.
    """
    settings = connection.configured(WhatsAppConnection)
    try:
        sender = CloudApi(settings, connection.id, read_timeout=CHECK_TIMEOUT).sender()
    except Overrun as error:
        raise Permanent(f"Meta answers, but asks us to wait: {error}") from None
    status = str(sender.get("status") or "CONNECTED")
    if status != "CONNECTED":
        raise Permanent(
            f"the sender {sender.get('display_phone_number', settings.phone_number_id)} is {status}, not CONNECTED; "
            "see it in WhatsApp Manager"
        )

"""Links that need no login: signed, and good until a moment that they name.

A link is ``/public/report/<report id>?expires=<Unix seconds>&signature=<HMAC-SHA256, hex>``. The key is derived from
the installation's signing key, so that no link is ever a valid token of anything else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from enum import Enum

from pydantic import SecretStr

REPORT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
PURPOSE = b"flowzz.report.links.v1"
PATH = "/public/report"
_EXPIRES = re.compile(r"[1-9][0-9]{0,11}\Z", re.ASCII)


class Verdict(Enum):
    GOOD = "good"
    EXPIRED = "expired"
    FORGED = "forged"


class Links:
    def __init__(self, signing_key: SecretStr, web_url: str) -> None:
        self._key = hmac.new(signing_key.get_secret_value().encode(), PURPOSE, hashlib.sha256).digest()
        self._web_url = web_url.rstrip("/")

    def url(self, report_id: str, expires_at: datetime) -> str:
        """The link to a report's file, with the whole seconds of ``expires_at``."""
        expires = str(int(expires_at.timestamp()))
        return f"{self._web_url}{PATH}/{report_id}?expires={expires}&signature={self._signature(report_id, expires)}"

    def judge(self, report_id: str, expires: str, signature: str, now: datetime) -> Verdict:
        """What a link is worth; it is compared in constant time, and whether it expired is told only of a real one."""
        expected = self._signature(report_id, expires)
        matches = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
        if not matches or not REPORT_ID.match(report_id) or not _EXPIRES.match(expires):
            return Verdict.FORGED
        return Verdict.GOOD if now < datetime.fromtimestamp(int(expires), UTC) else Verdict.EXPIRED

    def _signature(self, report_id: str, expires: str) -> str:
        said = f"{report_id}\n{expires}".encode("utf-8", "replace")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()

"""How long an upstream asks us to wait: what its Retry-After header says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from flowzz.clock import now

DEFAULT_THROTTLE = timedelta(seconds=60)
LONGEST_THROTTLE = timedelta(hours=24)


def retry_after(header: str | None, default: timedelta = DEFAULT_THROTTLE) -> timedelta:
    """The wait a Retry-After header asks for, in seconds or until a date (RFC 9110 §10.2.3).

    ``default`` when it says nothing that can be read; a second to a day in any case.
    """
    asked = default
    if header and re.fullmatch(r"\d{1,9}", header.strip()):
        asked = timedelta(seconds=int(header))
    elif header:
        asked = _until(header) or default
    return min(max(asked, timedelta(seconds=1)), LONGEST_THROTTLE)


def _until(header: str) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware - now()

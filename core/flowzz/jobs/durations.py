"""Lengths of time as people write them: ``90``, ``1.5``, ``"250ms"``, ``"5m"``, ``"1h30m"``, ``"2d"``."""

from __future__ import annotations

import math
import re
from datetime import timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = timedelta(days=3650)

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?\Z")


def parse_duration(value: str | float) -> timedelta:
    """``value`` as a length of time; a bare number means seconds.

    Raises ValueError saying what was expected and what came; nothing is longer than ten years.
    """
    seconds = float(value) if isinstance(value, int | float) else _seconds(value.strip().lower())
    if not 0 <= seconds <= LONGEST.total_seconds():
        raise ValueError(f"expected a time between 0 and {LONGEST.days} days, got {value!r}")
    return timedelta(seconds=seconds)


def _seconds(text: str) -> float:
    if _NUMBER.match(text):
        return float(text)
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(f"expected seconds (90) or a time such as '250ms', '5m', '1h30m' or '2d', got {text!r}")
    return math.fsum(float(part[1]) * UNITS[part[2]] for part in parts)

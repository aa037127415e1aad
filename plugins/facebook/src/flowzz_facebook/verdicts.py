"""What an error of the Graph API means for us (reference §5.3 and §6): by its subcode first, then by its code.

The HTTP status and ``type`` decide nothing: a throttle is 400, 403 or 429, an error may come with 200, and nearly
every one is called OAuthException.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any


class Verdict(Enum):
    """What to do next."""

    TRANSIENT = auto()
    TOO_MUCH = auto()
    THROTTLED = auto()
    REFUSED = auto()
    MISSING = auto()
    TOKEN = auto()
    SIGNATURE = auto()
    """Code 104: a wrong appsecret_proof in Meta's words, a broken connection in others' experience: once more, then
    TOKEN."""
    PERMISSION = auto()
    BLOCKED = auto()
    """Code 368: blocked for a policy; wait for hours, and a person must look."""


@dataclass(frozen=True, slots=True)
class GraphError:
    """An ``error`` object as it came. ``code`` and ``subcode`` are 0 where it has none."""

    code: int
    subcode: int
    message: str
    transient: bool
    user_message: str
    fields: str
    trace: str

    @classmethod
    def read(cls, error: Mapping[str, Any]) -> GraphError:
        said = " ".join(str(error[key]) for key in ("error_user_title", "error_user_msg") if error.get(key))
        return cls(
            code=_number(error.get("code")),
            subcode=_number(error.get("error_subcode")),
            message=str(error.get("message") or ""),
            transient=error.get("is_transient") is True,
            user_message=said,
            fields=str(error.get("error_data") or ""),
            trace=str(error.get("fbtrace_id") or ""),
        )

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self)


THROTTLE_CODES = frozenset({4, 17, 32, 341, 613, *range(80000, 80007), 80008, 80009, 80014})
THROTTLE_SUBCODES = frozenset({1487632, 1487742, 1504022, 1504039, 1996, 2446079, 5044001})
TOO_MUCH_SUBCODES = frozenset({1487534, 1504018, 1504045})
BAD_INPUT_SUBCODES = frozenset({1504041, 1504042})
TRANSIENT_SUBCODES = frozenset({99, 1504038, 1504043, 1504044, 2490547})
TOKEN_SUBCODES = {
    458: "the app was removed",
    459: "Facebook wants the user to log in first",
    460: "the password was changed",
    463: "it expired",
    464: "the user is not confirmed",
    467: "it was revoked",
    492: "the session is invalid",
}
"""Why a token is refused, by subcode of 190 (reference §6.2)."""
MISSING_SUBCODE = 33
PERMISSION_SUBCODE = 3191001
APP_CODE = 4

_BY_CODE = {
    **dict.fromkeys((1, 2, 960, -2), Verdict.TRANSIENT),
    **dict.fromkeys((-3,), Verdict.TOO_MUCH),
    **dict.fromkeys((102, 190), Verdict.TOKEN),
    **dict.fromkeys((3, 10, *range(200, 300)), Verdict.PERMISSION),
    104: Verdict.SIGNATURE,
    368: Verdict.BLOCKED,
}
_BY_SUBCODE = {
    **dict.fromkeys(TRANSIENT_SUBCODES, Verdict.TRANSIENT),
    **dict.fromkeys(BAD_INPUT_SUBCODES, Verdict.REFUSED),
    **dict.fromkeys(TOO_MUCH_SUBCODES, Verdict.TOO_MUCH),
    PERMISSION_SUBCODE: Verdict.PERMISSION,
}


def verdict_of(error: GraphError) -> Verdict:
    """Its meaning; what nobody knows is REFUSED, unless it says that it passes.

    Subcode 33 counts with code 100 only.
    """
    found = _BY_SUBCODE.get(error.subcode)
    if found is not None:
        return found
    if error.code in (1, 500) and "reduce the amount of data" in error.message.lower():
        return Verdict.TOO_MUCH
    if error.code == 100 and error.subcode == MISSING_SUBCODE:
        return Verdict.MISSING
    if error.subcode in THROTTLE_SUBCODES or error.code in THROTTLE_CODES:
        # Before is_transient, which throttles carry too.
        return Verdict.THROTTLED
    if error.transient:
        return Verdict.TRANSIENT
    return _BY_CODE.get(error.code, Verdict.REFUSED)


def standard_wait(error: GraphError) -> timedelta:
    """How long a throttle lasts where no header says so: 15 minutes of the app, 5 of an account (reference §6.2)."""
    return timedelta(minutes=15) if error.code == APP_CODE else timedelta(minutes=5)


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0

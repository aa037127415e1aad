"""Meta's error codes: what each means for a message, and what a person does about it (reference §5.2).

The code decides, then ``is_transient``, then the HTTP status, which is not reliable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Class(StrEnum):
    """What the sender does next about an error.

    ``TRANSIENT`` tries again by the job's policy; ``SENDER_THROTTLED`` holds the sender for seconds, ``PAIR_THROTTLED``
    this recipient only, ``ACCOUNT_THROTTLED`` the sender for minutes to hours; ``STOPPED`` pauses the connection until
    a person has looked; ``LATER`` is not to be tried for a day at least, so by nobody but a person; ``REFUSED`` fails
    for good; ``CREDENTIALS`` pauses the connection until new ones are stored.
    """

    TRANSIENT = "transient"
    SENDER_THROTTLED = "sender throttled"
    PAIR_THROTTLED = "pair throttled"
    ACCOUNT_THROTTLED = "account throttled"
    STOPPED = "stopped"
    LATER = "later"
    REFUSED = "refused"
    CREDENTIALS = "credentials"


WINDOW_CLOSED = 131047

_CLASSES: Mapping[Class, tuple[int, ...]] = {
    Class.TRANSIENT: (1, 2, 131000, 131016, 131057, 133004),
    Class.SENDER_THROTTLED: (130429,),
    Class.PAIR_THROTTLED: (131056,),
    Class.ACCOUNT_THROTTLED: (4, 613, 80007, 80008, 133016),
    Class.STOPPED: (368, 130497, 131031, 131048, 131064),
    Class.LATER: (130472, 131049),
    Class.CREDENTIALS: (0, 3, 10, 190, 131005, *range(200, 300)),
}
_CLASS_OF = {code: kind for kind, codes in _CLASSES.items() for code in codes}

EXPLANATIONS: Mapping[int, str] = {
    0: "Meta does not accept the token; store a new one in the connection",
    1: "Meta stumbled",
    2: "Meta is overloaded or down for a moment",
    3: "the app lacks the capability or permission; give it whatsapp_business_messaging",
    4: "the app made too many calls",
    10: "the token lacks a permission; give its system user whatsapp_business_messaging and the account",
    33: "the phone number id is gone or not this token's; check the connection",
    100: "a parameter is wrong or missing",
    190: "the token has expired or was taken back; make a new one for the system user and store it in the connection",
    368: "Meta blocked the account for a policy violation; see its Business Support Home",
    613: "too many calls of this kind",
    80007: "the business account made too many management calls",
    80008: "the business account made too many calls",
    130429: "the sender sends faster than its throughput",
    130472: "Meta keeps this person out of marketing for an experiment; do not repeat it",
    130497: "the account may not message people in this country",
    131000: "Meta stumbled without saying over what",
    131005: "the token may not do this; give it whatsapp_business_messaging",
    131008: "a required parameter is missing",
    131009: "a parameter has a value Meta does not take",
    131016: "the service is down for a moment",
    131021: "sender and recipient are the same number",
    131026: "the message cannot be delivered: no WhatsApp on that number, an old app, or its terms not accepted; "
    "ask the person by another way",
    131030: "a test sender reaches only numbers on its list; add it there, with and without the ninth digit",
    131031: "Meta locked the account; see its Business Support Home",
    131037: "the sender's display name is not approved; approve it in WhatsApp Manager",
    131042: "the account has a problem with its payment method; settle it in Business Settings",
    131045: "the sender's certificate is wrong; register the number again",
    131047: "the person wrote nothing in the last 24 hours, so only an approved template may be sent; "
    "send it again with templateName and templateParams",
    131048: "people blocked or reported this sender, so Meta restricts it; stop the campaign and raise its quality",
    131049: "Meta limits how much marketing this person gets; not before 24 hours, better not at all",
    131050: "the person stopped marketing from this business; do not repeat it",
    131051: "Meta does not know this kind of message",
    131052: "the medium could not be fetched",
    131053: "the medium could not be taken",
    131056: "too many messages to this one recipient in a short time",
    131057: "the account is in maintenance for some minutes",
    131062: "this template needs a phone number; the recipient was given as a user id",
    131063: "this recipient cannot be messaged by its user id",
    131064: "the business has reached the number of people it may message; raise the limit in WhatsApp Manager",
    132000: "the number of parameters is not what the template has; compare templateParams with its placeholders",
    132001: "no template of that name exists in that language, or it is not approved; check name and templateLanguage",
    132005: "the template is too long with these parameters filled in; shorten them",
    132007: "the template breaks a policy; change it in WhatsApp Manager",
    132008: "a template parameter has a format Meta does not take",
    132012: "the parameters do not fit the template (named or positional, kind, line breaks); compare them with it",
    132015: "the template is paused for low quality; change it or use another one",
    132016: "the template is disabled for good; make a new one",
    132068: "the flow is blocked",
    132069: "the flow is throttled",
    133004: "the server is down for a moment",
    133010: "the sender is not registered; register the number at Meta",
    133016: "the number was registered too often; wait",
    135000: "Meta refused without a reason; check the template's parameters",
    137000: "the message was refused as a whole",
}
"""Every code of the reference, in the words of the one who must act."""


@dataclass(frozen=True, slots=True)
class GraphError:
    """Meta's error object. ``minutes`` is when access comes back, where a header or the error says so."""

    code: int
    subcode: int | None
    message: str
    details: str
    is_transient: bool
    trace_id: str

    @classmethod
    def read(cls, document: Any) -> GraphError | None:
        """The error in an answer's document, or None when it holds none that can be read."""
        error = document.get("error") if isinstance(document, Mapping) else None
        return cls.of(error) if isinstance(error, Mapping) else None

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> GraphError | None:
        """An error as it stands in an answer or in a status webhook; None without a code."""
        code = _whole(error.get("code"))
        if code is None:
            return None
        data = error.get("error_data")
        details = data.get("details") if isinstance(data, Mapping) else None
        return cls(
            code=code,
            subcode=_whole(error.get("error_subcode")),
            message=str(error.get("message") or error.get("title") or ""),
            details=str(details or ""),
            is_transient=error.get("is_transient") is True,
            trace_id=str(error.get("fbtrace_id") or ""),
        )

    def kind(self, status: int = 400) -> Class:
        """The class by code, then by ``is_transient``, then by the HTTP ``status``."""
        if known := _CLASS_OF.get(self.code):
            return known
        if self.code in EXPLANATIONS:
            return Class.REFUSED
        if self.is_transient or status >= 500:
            return Class.TRANSIENT
        if status == 429:
            return Class.SENDER_THROTTLED
        return Class.CREDENTIALS if status == 401 else Class.REFUSED

    @property
    def told(self) -> str:
        """One line: what it means, the code, and Meta's own words."""
        meaning = EXPLANATIONS.get(self.code, "Meta refused")
        number = f"{self.code}/{self.subcode}" if self.subcode else f"{self.code}"
        words = " ".join((self.details or self.message).split())[:300]
        said = f"; Meta says: {words}" if words else ""
        trace = f" [{self.trace_id}]" if self.trace_id else ""
        return f"{meaning} ({number}{said}){trace}"


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None

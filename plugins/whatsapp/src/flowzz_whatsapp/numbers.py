"""Phone numbers: E.164 as given, and the key under which two spellings of one Brazilian mobile are the same.

Brazil added a ninth digit to its mobile numbers. Older WhatsApp accounts may still go without it, and Meta may answer
with either form. So a number is sent as it was given, never rewritten by rule, and compared by its match key: country,
area code and the last eight digits (reference §6.2).
"""

from __future__ import annotations

import re

import phonenumbers

BRAZIL = "55"
EXAMPLE = "+5511987654321"
BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}\Z")
"""A business-scoped user id: who hides the phone behind a username has only that."""

_SIGNS = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]+")
_BRAZILIAN_MOBILE = re.compile(r"55([1-9][0-9])9?([6-9][0-9]{7})\Z")
_OLD_MOBILE = re.compile(r"55[1-9][0-9][6-9][0-9]{7}\Z")


def recipient_of(text: str) -> str:
    """``text`` as we address it: E.164 with ``+``, or a BSUID as it is.

    Signs and spaces go; not one digit is added or taken. The ``+`` may be missing from a Brazilian number with its 55,
    since nothing else has 12 or 13 digits there. Raises ValueError saying what was expected; the message keeps the
    number to itself, so that it may be logged.
    """
    if BSUID.match(text.strip()):
        return text.strip()
    bare = _SIGNS.sub("", text)
    if re.fullmatch(r"55[0-9]{10,11}", bare):
        bare = f"+{bare}"
    wanted = f"expected a phone number with + and country code, such as {EXAMPLE}"
    if not re.fullmatch(r"\+[0-9]{6,15}", bare):
        raise ValueError(f"{wanted}; got {len(text)} characters that are none")
    if not _is_a_number(bare):
        raise ValueError(f"{wanted}; got one of {len(bare) - 1} digits that no such country or area uses")
    return bare


def _is_a_number(bare: str) -> bool:
    try:
        number = phonenumbers.parse(bare, None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) or _OLD_MOBILE.match(bare[1:]) is not None


def match_key(number: str) -> str:
    """What two spellings of one recipient have in common. ``number`` is E.164, a wa_id (no ``+``) or a BSUID.

    A Brazilian mobile without its ninth digit: ``+5562987654321`` and ``556287654321`` are both ``556287654321``.
    """
    digits = number.removeprefix("+")
    mobile = _BRAZILIAN_MOBILE.match(digits)
    return f"{BRAZIL}{mobile[1]}{mobile[2]}" if mobile else digits

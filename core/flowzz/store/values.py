"""What may enter the database: names and ids that both databases can hold, and plain JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretBytes, SecretStr
from pydantic_core import PydanticSerializationError, from_json, to_json

from flowzz.errors import InvalidRequest

IDENTIFIER = re.compile(r"[A-Za-z0-9_.\-]{1,100}\Z")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
LONGEST_NAME = 200
LONGEST_NOTE = 2_000


def is_identifier(text: str) -> bool:
    """True for 1 to 100 letters, digits, ``_``, ``-`` and ``.``: what an id of ours can look like."""
    return IDENTIFIER.match(text) is not None


def name_of(what: str, text: str) -> str:
    """``text`` without outer blanks.

    Raises InvalidRequest unless it then has 1 to 200 characters, none of them a control character.
    """
    trimmed = text.strip()
    if not 1 <= len(trimmed) <= LONGEST_NAME:
        raise InvalidRequest(f"expected {what} of 1 to {LONGEST_NAME} characters, got {len(trimmed)}")
    if UNPRINTABLE.search(trimmed) or "\n" in trimmed or "\r" in trimmed:
        raise InvalidRequest(f"expected {what} without control characters, got {trimmed!r}")
    return trimmed


def note_of(text: str) -> str:
    """``text`` made storable: control characters replaced (PostgreSQL refuses NUL), cut at 2,000 characters."""
    return UNPRINTABLE.sub("\ufffd", text)[:LONGEST_NOTE]


def plain_json(what: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` as plain JSON: a URL, Decimal or date becomes its text.

    Raises InvalidRequest, naming the field, for a secret (it belongs among the encrypted ones) and for anything
    that has no JSON form.
    """
    result = {}
    for name, item in value.items():
        if isinstance(item, SecretStr | SecretBytes):
            raise InvalidRequest(f"{what} {name!r} is a secret; pass it among the secrets, which are encrypted")
        try:
            result[name] = from_json(to_json(item, inf_nan_mode="strings"))
        except PydanticSerializationError:
            raise InvalidRequest(f"{what} {name!r}: expected plain JSON, got {type(item).__qualname__}") from None
    return result


def lenient_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` as plain JSON, whatever it holds: secrets become stars, what has no JSON form its type's name."""
    return {note_of(str(name)): _lenient(item) for name, item in value.items()}


def _lenient(item: Any) -> Any:
    try:
        return from_json(to_json(item, inf_nan_mode="strings", bytes_mode="base64", fallback=_type_name))
    except PydanticSerializationError:
        return _type_name(item)


def _type_name(item: object) -> str:
    return f"<{type(item).__qualname__}>"

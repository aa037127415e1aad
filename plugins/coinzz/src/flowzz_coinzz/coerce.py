"""One untrusted JSON value to one typed value. None and the empty text mean "nothing came" everywhere.

Each function raises Unreadable when something came that it cannot read; the normaliser turns that into a problem
on record and goes on.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from flowzz.store.columns import MONEY_LIMIT, MONEY_STEP

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
INT_LIMIT = 2**31
YEARS = range(1990, 2200)
"""Years a date is believed in; at the ends of the calendar a time zone alone can make one unreadable."""
NUMBERS = (int, Decimal)
PLAIN = (str, *NUMBERS)
"""What a text or number may come as; named here, since ``str | int`` would be made anew at each look."""
TRUE = frozenset({"true", "1", "sim", "s", "yes"})
FALSE = frozenset({"false", "0", "nao", "não", "n", "no"})

_MONEY_TEXT = re.compile(r"[-+]?\d[\d.,]*\Z|[-+]?[.,]\d+\Z")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(\.\d{3})+\Z")
_BRAZILIAN = re.compile(r"(\d{2})/(\d{2})/(\d{4})(?:[ T]+(\d{2}):(\d{2})(?::(\d{2}))?)?\Z")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|[+-]\d{2}:?\d{2})?)?\Z")


class Unreadable(ValueError):
    """The value is not what its place calls for."""


def text(value: Any) -> str | None:
    """Trimmed, without NUL (PostgreSQL refuses it) and without halves of surrogate pairs (no encoding has them)."""
    if type(value) is str and value.isascii() and "\x00" not in value:
        return value.strip() or None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, PLAIN):
        raise Unreadable(f"expected text, got {_kind(value)}")
    try:
        plain = value if isinstance(value, str) else str(value)
    except ValueError:
        raise Unreadable("expected text, got a number of thousands of digits") from None
    return plain.replace("\x00", "").encode("utf-8", "replace").decode("utf-8").strip() or None


def email(value: Any) -> str | None:
    found = text(value)
    return found.lower() if found else None


def money(value: Any, *, decimal_comma: bool = False) -> Decimal | None:
    """Reais, exact to four decimals (what lies beyond, the litter of somebody's floats, is rounded half to even).

    Text may carry ``R$`` and either separator; the last one is the decimal one. With only dots in groups of three,
    ``1.234`` is a decimal number in JSON and a thousand in a file with ``decimal_comma``.
    """
    if value is None or value == "":
        return None
    amount = _number(_plain_amount(value, decimal_comma) if isinstance(value, str) else value)
    if amount is None:
        return None
    # Looked at before anything else, since 1e999999999 is a legal JSON number of a billion digits.
    if not amount.is_finite() or (amount and amount.adjusted() >= MONEY_LIMIT.adjusted()):
        raise Unreadable("expected an amount under a trillion")
    return amount.quantize(MONEY_STEP) if amount.adjusted() > -30 else Decimal(0).quantize(MONEY_STEP)


def _plain_amount(value: str, decimal_comma: bool) -> str:
    bare = "".join(value.split()).replace("R$", "").replace("r$", "")
    if bare and not _MONEY_TEXT.match(bare):
        raise Unreadable(f"expected an amount, got {value[:40]!r}")
    if "," in bare and bare.rfind(",") > bare.rfind("."):
        return bare.replace(".", "").replace(",", ".")
    if "," not in bare and (bare.count(".") > 1 or (decimal_comma and _THOUSANDS.match(bare))):
        return bare.replace(".", "")
    return bare.replace(",", "")


def whole(value: Any) -> int | None:
    """A whole number that fits 32 bits; ``2``, ``2.0`` and ``"2"`` alike."""
    if value is None or value == "":
        return None
    number = _number(value.strip() if isinstance(value, str) else value)
    if number is None:
        return None
    if not number.is_finite() or abs(number.adjusted()) > 30 or number != number.to_integral_value():
        raise Unreadable("expected a whole number")
    if abs(number) >= INT_LIMIT:
        raise Unreadable("expected a number of at most nine digits")
    return int(number)


def flag(value: Any) -> bool | None:
    """True and false, also as 1 and 0 and as text in English and Portuguese."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, NUMBERS) and value in (0, 1):
        return value == 1
    word = value.strip().lower() if isinstance(value, str) else _kind(value)
    if word in TRUE or word in FALSE:
        return word in TRUE
    if word == "":
        return None
    raise Unreadable(f"expected true or false, got {word[:40]!r}")


def moment(value: Any) -> datetime | None:
    """``2026-03-02 14:05:09``, ISO 8601 or ``02/03/2026 14:05``; without a zone it is taken as America/Sao_Paulo."""
    written = text(value)
    if written is None:
        return None
    try:
        read = _read_moment(written)
        if read.year in YEARS:
            return (read if read.tzinfo else read.replace(tzinfo=SAO_PAULO)).astimezone(UTC)
        raise ValueError(written)
    except (ValueError, OverflowError):
        raise Unreadable(f"expected a date such as 2026-03-02 14:05:09, got {written[:40]!r}") from None


def _read_moment(written: str) -> datetime:
    brazilian = _BRAZILIAN.match(written)
    if brazilian:
        day, month, year, hour, minute, second = (int(part or 0) for part in brazilian.groups())
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the caller adds the zone
    if not _ISO.match(written):
        raise ValueError(written)
    return datetime.fromisoformat(written.replace("Z", "+00:00").replace(" +", "+").replace(" -", "-"))


def digits(value: Any) -> str | None:
    """Only the digits, of a postal code for example."""
    found = text(value)
    return re.sub(r"\D", "", found) or None if found else None


def document(value: Any) -> str | None:
    """A CPF or CNPJ without dots, slash and dash; CNPJs of 2026 and later may hold letters.

    A JSON number has lost its leading zeros; they are given back.
    """
    found = text(value)
    if found is None:
        return None
    bare = re.sub(r"[^0-9A-Z]", "", found.upper())
    if isinstance(value, str):
        return bare or None
    return bare.zfill(11 if len(bare) <= 11 else 14)


def phone(value: Any) -> str | None:
    """E.164 (``+5511900000000``), or None where the number is of no known form. Numbers without ``+`` are Brazilian."""
    written = text(value)
    if written is None:
        return None
    number = re.sub(r"[^0-9]", "", written)
    if written.startswith("+") and not number.startswith("55"):
        return f"+{number}" if 8 <= len(number) <= 15 else None
    has_country = written.startswith("+") or len(number) in (12, 13)
    national = number[2:] if has_country and number.startswith("55") else number
    national = national.removeprefix("0")
    return f"+55{national}" if len(national) in (10, 11) and not national.startswith("0") else None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, PLAIN):
        raise Unreadable(f"expected a number, got {_kind(value)}")
    if value == "":
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        raise Unreadable(f"expected a number, got {str(value)[:40]!r}") from None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", str: "text", float: "a float"}
    return names.get(type(value), "a number")

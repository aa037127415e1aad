"""Sums and quotients where something may not be known: nothing is made up, and nothing is divided by nothing."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar

Number = Decimal | int
N = TypeVar("N", Decimal, int)

EXACT = Decimal("0.000001")


def whole(value: object) -> int:
    """A count or a sum of whole numbers, which PostgreSQL gives as a decimal."""
    return int(str(value)) if value is not None else 0


def whole_or_none(value: object) -> int | None:
    return None if value is None else int(Decimal(str(value)))


def quotient(part: Number | None, by: Number | None) -> Decimal | None:
    """``part / by``; None when either is not known or ``by`` is 0."""
    if part is None or not by:
        return None
    return (Decimal(part) / Decimal(by)).quantize(EXACT)


def total(values: Iterable[N | None]) -> N | None:
    """The sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    first = known[0]
    for value in known[1:]:
        first += value
    return first


def growth(new: Number | None, old: Number | None) -> Decimal | None:
    """How much more ``new`` is than ``old``, as a fraction of it."""
    if new is None or old is None:
        return None
    return quotient(Decimal(new) - Decimal(old), old)

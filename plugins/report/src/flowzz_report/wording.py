"""Numbers, dates and texts as Brazilian Portuguese writes them. Written by hand: a report must not follow a machine's
locale, and the formats are few."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

DASH = "—"
MONTHS = ("jan.", "fev.", "mar.", "abr.", "maio", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez.")
SYMBOLS = {"BRL": "R$", "USD": "US$", "EUR": "€", "GBP": "£"}
NARROW, FIXED = "\u202f", "\u00a0"


def symbol(currency: str) -> str:
    return SYMBOLS.get(currency, currency)


def number(value: Decimal | int | float, places: int = 0) -> str:
    """1234567.891 with two places is 1.234.567,89; halves are rounded away from zero, as people do."""
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if exact == 0:
        exact = abs(exact)
    return f"{exact:,.{places}f}".translate(str.maketrans(",.", ".,")).replace("-", "−")


def money(value: Decimal | int, currency: str) -> str:
    sign = "−" if Decimal(value) < 0 and number(value, 2) != "0,00" else ""
    return f"{sign}{symbol(currency)}{FIXED}{number(abs(Decimal(value)), 2)}"


def percent(value: Decimal, places: int = 1) -> str:
    return f"{number(value * 100, places)}{FIXED}%"


def day(value: date) -> str:
    return f"{value:%d/%m/%Y}"


def month(value: date) -> str:
    return f"{MONTHS[value.month - 1]} {value.year}"


def moment(value: datetime) -> str:
    return f"{value:%d/%m/%Y %H:%M}"


def cell(value: Any, kind: str, currency: str) -> str:
    """A value as it stands in a table; a dash where it is not known."""
    if value is None or value == "":
        return DASH
    match kind:
        case "integer":
            return number(value)
        case "decimal":
            return number(value, 2)
        case "money":
            return money(value, currency)
        case "percent":
            return percent(value)
        case "boolean":
            return "Sim" if value else "Não"
        case "date":
            return day(value)
        case "month":
            return month(value)
        case "datetime":
            return moment(value)
    return str(value)


def compared(fraction: Decimal | None) -> str:
    """What stands under a figure that is compared with the period before."""
    if fraction is None:
        return "sem período anterior para comparar"
    sign = "+" if fraction >= 0 else ""
    return f"{sign}{percent(fraction)} ante o período anterior"


def counted(count: int, one: str, many: str) -> str:
    return f"{number(count)} {one if count == 1 else many}"

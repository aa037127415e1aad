"""Conditions of a filter: read from JSON, checked against the column's kind, turned into SQL with bound values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from pydantic import ConfigDict, Field
from sqlalchemy import ColumnElement, and_, false, func, or_

from flowzz.jobs.payload import Payload
from flowzz.plugins.contributions import DataColumn
from flowzz_report.period import Period
from flowzz_report.topics import STATES

Scalar = str | int | float | bool | None
MOST_VALUES = 200
LONGEST = 500


class Condition(Payload):
    """``any_of`` these and ``none_of`` those; from ``low`` to ``high``, both included; ``contains`` that text."""

    model_config = ConfigDict(**{**Payload.model_config, "alias_generator": None})

    any_of: tuple[Scalar, ...] | None = Field(default=None, max_length=MOST_VALUES)
    none_of: tuple[Scalar, ...] | None = Field(default=None, max_length=MOST_VALUES)
    low: Scalar = None
    high: Scalar = None
    contains: str | None = Field(default=None, min_length=1, max_length=LONGEST)


_KEYS = {"min": "low", "max": "high", "contains": "contains", "not": "none_of"}


def accepted(name: str, value: Any) -> Any:
    """What a person wrote for ``name`` as the fields of a Condition; ValueError says what was expected."""
    if isinstance(value, Condition):
        return value
    if isinstance(value, Mapping) and value and value.keys() <= Condition.model_fields.keys():
        return value  # read once already, as it lies in the queue
    if isinstance(value, Mapping):
        unknown = sorted(str(key) for key in value if key not in _KEYS)
        if unknown or not value:
            raise ValueError(f"{name}: expected one or more of {', '.join(_KEYS)}, got {unknown or 'nothing'}")
        made = {_KEYS[key]: part for key, part in value.items()}
        if "none_of" in made:
            made["none_of"] = _several(name, made["none_of"])
        return made
    return {"any_of": _several(name, value)}


def _several(name: str, value: Any) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values:
        raise ValueError(f"{name}: expected at least one value, got an empty list")
    for one in values:
        if not isinstance(one, str | int | float | bool | None):
            raise ValueError(f"{name}: expected a value or a list of values, got {type(one).__name__}")
        if isinstance(one, str) and len(one) > LONGEST:
            raise ValueError(f"{name}: expected at most {LONGEST} characters, got {len(one):,}")
    return values


def check_condition(column: DataColumn, condition: Condition) -> None:
    """Raises ValueError when a value does not fit the column's kind."""
    for value in (*(condition.any_of or ()), *(condition.none_of or ()), condition.low, condition.high):
        if value is not None:
            _typed(column, value)
    if (condition.low is not None or condition.high is not None) and column.kind in ("text", "boolean"):
        raise ValueError(f"{column.name}: min and max are for numbers and dates, not for {column.kind}")
    if condition.contains is not None and column.kind != "text":
        raise ValueError(f"{column.name}: contains is for text, not for {column.kind}")


def as_sql(column: DataColumn, where: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    """The condition on ``where``, which is the source's column; every value is a bound parameter."""
    parts: list[ColumnElement[bool]] = []
    if condition.any_of is not None:
        parts.append(_one_of(column, where, condition.any_of))
    if condition.none_of is not None:
        # In SQL "not" of what is not known is not known: a row without a value is none of the values.
        kept = ~_one_of(column, where, condition.none_of)
        parts.append(kept if None in condition.none_of else or_(where.is_(None), kept))
    if condition.low is not None:
        parts.append(where >= _typed(column, condition.low))
    if condition.high is not None:
        high = _typed(column, condition.high)
        whole_day = column.kind == "datetime" and _is_day(condition.high)
        parts.append(where < high + timedelta(days=1) if whole_day else where <= high)
    if condition.contains is not None:
        parts.append(func.lower(where).contains(condition.contains.lower(), autoescape=True))
    return and_(*parts)


def _one_of(column: DataColumn, where: ColumnElement[Any], values: Sequence[Scalar]) -> ColumnElement[bool]:
    known = [_typed(column, value) for value in values if value is not None]
    parts: list[ColumnElement[bool]] = []
    if column.kind == "datetime":
        parts += [and_(where >= one, where < one + timedelta(days=1)) for one in known]
    elif column.kind == "boolean":
        parts += [where.is_(one) for one in known]
    elif known:
        parts.append(where.in_(known))
    if None in values:
        parts.append(where.is_(None))
    return or_(false(), *parts)


def _typed(column: DataColumn, value: Scalar) -> Any:
    reader = {
        "text": _text,
        "boolean": _boolean,
        "integer": _integer,
        "decimal": _decimal,
        "money": _decimal,
        "date": _date,
        "datetime": _moment,
    }[column.kind]
    try:
        return reader(value)
    except (ValueError, InvalidOperation):
        raise ValueError(f"{column.name}: expected {_EXPECTED[column.kind]}, got {value!r}") from None


_EXPECTED = {
    "text": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "decimal": "a number",
    "money": "a number",
    "date": "a day such as 2026-01-31",
    "datetime": "a day such as 2026-01-31, or a moment with its zone",
}


def _text(value: Scalar) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    return str(value)


def _boolean(value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _integer(value: Scalar) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 53:
        raise ValueError
    return value


def _decimal(value: Scalar) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    read = Decimal(str(value))
    if not read.is_finite() or abs(read) >= 10**12:
        raise ValueError
    return read


def _date(value: Scalar) -> date:
    if not isinstance(value, str):
        raise ValueError
    return date.fromisoformat(value)


def _is_day(value: Scalar) -> bool:
    return isinstance(value, str) and len(value) == len("2026-01-31")


def _moment(value: Scalar) -> datetime:
    if _is_day(value):
        return Period(_date(value), _date(value)).start
    if not isinstance(value, str):
        raise ValueError
    read = datetime.fromisoformat(value)
    if read.tzinfo is None:
        raise ValueError
    return read.astimezone(UTC)


def described(columns: Mapping[str, DataColumn], where: Mapping[str, Condition]) -> Iterator[str]:
    """Each condition in Portuguese: "Produto: Kit ou Creme"."""
    for name, condition in where.items():
        parts = []
        names = STATES if name == "state" else {}
        if condition.any_of is not None:
            parts.append(" ou ".join(_said(value, names) for value in condition.any_of))
        if condition.none_of is not None:
            parts.append("exceto " + " e ".join(_said(value, names) for value in condition.none_of))
        if condition.low is not None:
            parts.append(f"a partir de {_said(condition.low)}")
        if condition.high is not None:
            parts.append(f"até {_said(condition.high)}")
        if condition.contains is not None:
            parts.append(f"contém “{condition.contains}”")
        yield f"{columns[name].title}: {', '.join(parts)}"


def _said(value: Scalar, names: Mapping[str, str] = MappingProxyType({})) -> str:
    if value is None:
        return "não informado"
    if isinstance(value, bool):
        return "sim" if value else "não"
    return names.get(str(value), str(value))

"""Money in the database: exact, and adding up the same, on SQLite and PostgreSQL."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, Numeric, TypeDecorator
from sqlalchemy.types import TypeEngine

MONEY_PLACES = 4
MONEY_STEP = Decimal(1).scaleb(-MONEY_PLACES)
MONEY_LIMIT = Decimal(10) ** 12
"""Amounts of this size or more are refused by the normaliser; the column could not hold them."""


class Money(TypeDecorator[Decimal]):
    """An exact amount in reais with four decimals.

    ``NUMERIC(16, 4)`` on PostgreSQL. SQLite has no exact decimal, so there it is a whole number of
    ten-thousandths, which adds up and compares exactly.
    """

    impl = Numeric(16, MONEY_PLACES)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        exact = BigInteger() if dialect.name == "sqlite" else Numeric(16, MONEY_PLACES)
        return dialect.type_descriptor(exact)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return int(value.scaleb(MONEY_PLACES).to_integral_value())

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None or dialect.name != "sqlite":
            return None if value is None else Decimal(value)
        return Decimal(value).scaleb(-MONEY_PLACES)

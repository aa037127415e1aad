"""What ``report.generate`` is asked for and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_snake

from flowzz.jobs.payload import Payload, Result
from flowzz_report.conditions import Condition, accepted
from flowzz_report.period import MAX_DAYS, Period
from flowzz_report.selection import check_selection
from flowzz_report.topics import TopicName

EARLIEST = date(2000, 1, 1)
LATEST = date(2100, 12, 31)
MOST_CONDITIONS = 20
MOST_COLUMNS = 30
MOST_GROUPS = 4
MOST_PDF_COLUMNS = 12


class ReportType(StrEnum):
    SALES = "sales"
    LEADS = "leads"
    PERFORMANCE = "performance"
    CUSTOM = "custom"


class Format(StrEnum):
    PDF = "pdf"
    XLSX = "xlsx"
    CSV = "csv"


class Filters(Payload):
    """Which rows, and for ``custom`` which columns.

    ``where`` maps a column to a value, a list of values, or ``{"min", "max", "contains", "not"}``; None is "not known".
    Any other key is one more condition: ``{"product": "Kit"}`` says the same as ``{"where": {"product": "Kit"}}``.
    ``source``, ``columns``, ``group_by``, ``order_by`` (``-amount`` is descending) are for ``custom``: without groups
    each row is listed with these columns, with groups the numbers among the columns are added up.
    """

    source: TopicName | None = None
    columns: tuple[str, ...] = Field(default=(), max_length=MOST_COLUMNS)
    group_by: tuple[str, ...] = Field(default=(), max_length=MOST_GROUPS)
    order_by: tuple[str, ...] = Field(default=(), max_length=MOST_GROUPS)
    where: dict[str, Condition] = Field(default_factory=dict, max_length=MOST_CONDITIONS)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        own = {name for field, info in cls.model_fields.items() for name in (field, info.alias)}
        conditions = given.get("where") or {}
        if not isinstance(conditions, Mapping):
            raise ValueError("where: expected an object that maps columns to conditions")
        kept = {key: value for key, value in given.items() if key in own and key != "where"}
        loose = {key: value for key, value in given.items() if key not in own}
        where = {to_snake(str(key)): accepted(str(key), value) for key, value in {**loose, **conditions}.items()}
        return {**kept, "where": where}

    @field_validator("columns", "group_by")
    @classmethod
    def _snake(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(to_snake(name) for name in names))

    @field_validator("order_by")
    @classmethod
    def _snake_order(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(("-" if name.startswith("-") else "") + to_snake(name.lstrip("-")) for name in names)


class GenerateReport(Payload):
    """``start_date`` and ``end_date`` are days in America/Sao_Paulo, both included; ``user_id`` is told when done."""

    empresa_id: str = Field(min_length=1, max_length=100)
    report_type: ReportType
    start_date: date = Field(ge=EARLIEST, le=LATEST)
    end_date: date = Field(ge=EARLIEST, le=LATEST)
    filters: Filters = Field(default_factory=Filters)
    user_id: str = Field(min_length=1, max_length=200)
    format: Format = Format.PDF

    @field_validator("filters", mode="before")
    @classmethod
    def _none_is_none_given(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("end_date")
    @classmethod
    def _fits(cls, value: date, info: ValidationInfo) -> date:
        first = info.data.get("start_date")
        if first is None:
            return value
        if value < first:
            raise ValueError(f"expected endDate to be startDate ({first}) or later, got {value}")
        if Period(first, value).days > MAX_DAYS:
            raise ValueError(f"expected a period of {MAX_DAYS:,} days at most, got {Period(first, value).days:,}")
        return value

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        check_selection(self.report_type.value, self.filters)
        shown = len(self.filters.columns) + len(self.filters.group_by)
        if self.format is Format.PDF and shown > MOST_PDF_COLUMNS:
            raise ValueError(
                f"filters: a page has room for {MOST_PDF_COLUMNS} columns, got {shown}; ask for xlsx or csv"
            )
        return self

    @property
    def period(self) -> Period:
        return Period(self.start_date, self.end_date)


class GeneratedReport(Result):
    """``file_url`` works until its link expires; ``flowzz report link`` and the admin make new ones."""

    report_id: str
    file_url: str
    generated_at: datetime

"""Our values as programs read them, over HTTP and from ``--json``: camelCase names, UTC times in ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from pydantic import SecretStr
from pydantic.alias_generators import to_camel


def as_wire(value: Any) -> Any:
    """Dataclasses become objects, moments texts, secrets stars. Payloads and results (plain JSON) stay as they are."""
    if is_dataclass(value) and not isinstance(value, type):
        return {to_camel(item.name): as_wire(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, datetime):
        return moment_as_text(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, SecretStr):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): as_wire(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_wire(item) for item in value]
    return value


def moment_as_text(moment: datetime) -> str:
    """``2026-11-24T01:40:00.000Z``; to the microsecond where it has any, so that it may bound a later request."""
    exact = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.astimezone(UTC).isoformat(timespec=exact).replace("+00:00", "Z")

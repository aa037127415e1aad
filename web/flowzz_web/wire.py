"""Our values as the API writes them: camelCase names, UTC times in ISO 8601; what jobs carry stays as it is."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from pydantic.alias_generators import to_camel


def as_wire(value: Any) -> Any:
    """Dataclasses become objects, moments texts. Payloads and results (plain JSON) are not touched."""
    if is_dataclass(value) and not isinstance(value, type):
        return {to_camel(item.name): as_wire(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, datetime):
        return moment_as_text(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [as_wire(item) for item in value]
    return value


def moment_as_text(moment: datetime) -> str:
    """``2026-11-24T01:40:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

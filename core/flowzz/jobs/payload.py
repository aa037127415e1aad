"""The data a job takes and gives back: pydantic models that speak camelCase on the wire."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from flowzz.errors import InvalidPayload


class WireModel(BaseModel):
    """snake_case in Python, camelCase in JSON; both are accepted, unknown fields are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, serialize_by_alias=True
    )


class Payload(WireModel):
    """Base of every job's payload. A field ``empresa_id`` says which company the job is for."""


class Result(WireModel):
    """Base of what a handler returns."""


PayloadT = TypeVar("PayloadT", bound=BaseModel)


def parse_payload(job: str, model: type[PayloadT], data: object) -> PayloadT:
    """``data`` as ``model``.

    Raises InvalidPayload naming each field by its wire name, what was expected and what came.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InvalidPayload(job, problems_of(error)) from None


def problems_of(error: ValidationError) -> list[dict[str, Any]]:
    """One mapping a failed field: its wire name, the message, and the input where it is plain JSON."""
    problems = []
    for item in error.errors(include_url=False, include_context=False):
        problem: dict[str, Any] = {
            "field": ".".join(str(part) for part in item["loc"]) or "(payload)",
            "message": item["msg"],
        }
        if isinstance(item["input"], str | int | float | bool | None) and item["type"] != "missing":
            problem["input"] = item["input"]
        problems.append(problem)
    return problems

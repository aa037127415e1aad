"""The data a job takes and gives back: pydantic models that speak camelCase on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, ValidationError
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
        raise InvalidPayload(job, problems_of(error, model)) from None


def problems_of(error: ValidationError, model: type[BaseModel] | None = None) -> list[dict[str, Any]]:
    """One mapping a failed field: its wire name, the message, and the input where it is plain JSON and no secret.

    Only ``model`` tells which fields are secrets; without it no input is repeated.
    """
    problems = []
    for item in error.errors(include_url=False, include_context=False):
        problem: dict[str, Any] = {
            "field": ".".join(str(part) for part in item["loc"]) or "(payload)",
            "message": item["msg"],
        }
        plain = isinstance(item["input"], str | int | float | bool | None)
        if model and plain and item["type"] != "missing" and not _is_secret(model, item["loc"]):
            problem["input"] = item["input"]
        problems.append(problem)
    return problems


def _is_secret(model: type[BaseModel], place: tuple[int | str, ...]) -> bool:
    """True when the field at ``place`` (wire names), or anything around it, is typed as a secret."""
    for part in place:
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        if field is None:
            continue
        types = list(_types_in(field.annotation))
        if any(issubclass(one, SecretStr | SecretBytes) for one in types):
            return True
        model = next((one for one in types if issubclass(one, BaseModel)), model)
    return False


def _types_in(annotation: Any) -> Iterator[type]:
    """Every class an annotation names: ``dict[str, SecretStr] | None`` gives dict, str, SecretStr, NoneType."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _types_in(part)

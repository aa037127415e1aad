"""The form of a connection, made from its plugin's model; and what came back from it, as values for that model."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flowzz.plugins.connecting import is_secret
from flowzz_web.languages import translate as _

Kind = Literal["secret", "switch", "choice", "list", "number", "json", "text"]
FORGET = "forget-"
"""Before the name of an optional secret: its stored value goes."""


@dataclass(frozen=True, slots=True)
class FormField:
    """``value`` is what the input shows, never a secret; ``is_set`` says of a secret that one is stored."""

    name: str
    title: str
    hint: str
    kind: Kind
    required: bool
    value: str = ""
    choices: tuple[str, ...] = ()
    is_set: bool = False


def form_fields(
    model: type[BaseModel], shown: Mapping[str, Any], stored_secrets: Collection[str] = ()
) -> list[FormField]:
    """The model's fields in its order; ``shown`` are values by name, what is not in it shows its default."""
    return [
        FormField(
            name=name,
            title=_(info.title) if info.title else name.replace("_", " ").capitalize(),
            hint=_(info.description) if info.description else "",
            kind=(kind := _kind(info)),
            required=info.is_required(),
            value="" if kind == "secret" else _shown(shown[name] if name in shown else _default(info)),
            choices=_choices(info),
            is_set=name in stored_secrets,
        )
        for name, info in model.model_fields.items()
    ]


def typed_values(model: type[BaseModel], form: Mapping[str, str], *, is_new: bool) -> dict[str, Any]:
    """What was typed, by name.

    Secrets left empty are left out, so the stored ones stay; other fields that were emptied get their defaults.
    """
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind, text = _kind(info), form.get(name, "").strip()
        if kind == "switch":
            values[name] = name in form
        elif text:
            values[name] = _typed(kind, text)
        elif kind == "secret":
            if FORGET + name in form and not info.is_required():
                values[name] = None
        elif info.is_required():
            values[name] = [] if kind == "list" else text
        elif not is_new:
            values[name] = _default(info)
    return values


def _kind(info: FieldInfo) -> Kind:
    if is_secret(info):
        return "secret"
    kinds = [one for one in (info.annotation, *get_args(info.annotation)) if one is not None]
    if bool in kinds:
        return "switch"
    if _choices(info):
        return "choice"
    origins = [get_origin(one) or one for one in kinds[:1] if one]
    if any(one in (list, tuple, set, frozenset) for one in origins):
        return "list"
    if any(one is dict or (isinstance(one, type) and issubclass(one, BaseModel)) for one in [*origins, *kinds]):
        return "json"
    return "number" if any(one in (int, float) for one in kinds) else "text"


def _choices(info: FieldInfo) -> tuple[str, ...]:
    if get_origin(info.annotation) is Literal:
        return tuple(str(one) for one in get_args(info.annotation))
    if isinstance(info.annotation, type) and issubclass(info.annotation, Enum):
        return tuple(str(one.value) for one in info.annotation)
    return ()


def _default(info: FieldInfo) -> Any:
    return None if info.is_required() else info.get_default(call_default_factory=True)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else ""
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(one) for one in value)
    if isinstance(value, Mapping | BaseModel):
        return json.dumps(value.model_dump(mode="json") if isinstance(value, BaseModel) else dict(value))
    return str(value.value if isinstance(value, Enum) else value)


def _typed(kind: Kind, text: str) -> Any:
    if kind == "list":
        return [part for part in (one.strip() for one in text.split(",")) if part]
    if kind == "json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text  # the model says what it expected
    return text

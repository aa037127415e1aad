"""What handlers and steps return, as it is kept."""

from __future__ import annotations

import json

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

_ENCODER = json.JSONEncoder(allow_nan=False, default=to_jsonable_python)
"""Made once: ``json.dumps`` makes one a call when it is told anything."""


def result_as_json(value: object, what: str = "a handler") -> str:
    """What a handler (or ``what``) returned, as JSON text; pydantic models by their wire names.

    Raises TypeError when it is neither a model nor plain JSON, ValueError when it holds NaN or an infinity.
    """
    if isinstance(value, BaseModel):
        return _dumped(value.model_dump(mode="json", by_alias=True))
    if value is None or isinstance(value, bool | int | str | dict | list | tuple | float):
        return _ENCODER.encode(value)
    raise TypeError(
        f"{what} returns a pydantic model, or plain JSON (dict, list, str, int, float, bool, None); "
        f"got {type(value).__qualname__}"
    )


def _dumped(plain: dict[str, object]) -> str:
    """As the encoder's, several times as fast; what it would refuse, or spell in ASCII, is left to the encoder."""
    try:
        text = to_json(plain, inf_nan_mode="constants").decode()
    except PydanticSerializationError:
        return _ENCODER.encode(plain)
    return _ENCODER.encode(plain) if "NaN" in text or "Infinity" in text else text

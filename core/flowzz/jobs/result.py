"""What handlers and steps return, as it is kept."""

from __future__ import annotations

import json

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


def result_as_json(value: object, what: str = "a handler") -> str:
    """What a handler (or ``what``) returned, as JSON text; pydantic models by their wire names.

    Raises TypeError when it is neither a model nor plain JSON, ValueError when it holds NaN or an infinity.
    """
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json", by_alias=True), allow_nan=False)
    if value is None or isinstance(value, bool | int | str | dict | list | tuple | float):
        return json.dumps(value, allow_nan=False, default=to_jsonable_python)
    raise TypeError(
        f"{what} returns a pydantic model, or plain JSON (dict, list, str, int, float, bool, None); "
        f"got {type(value).__qualname__}"
    )

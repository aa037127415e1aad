"""Bodies and queries of the API: parsed strictly, refused by field."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from flowzz.jobs.payload import problems_of
from flowzz_web.current import the_flowzz
from flowzz_web.problems import Problem

BODY_ROOM = 64 * 1024
"""Bytes a body may have beyond the largest payload: names, options, JSON's own signs."""
BULK_BYTES = 8 * 1024 * 1024
"""Of a body with many jobs."""

ModelT = TypeVar("ModelT", bound=BaseModel)


def raw_body(limit: int) -> bytes:
    """The body as it came; 413 when it has more than ``limit`` bytes.

    Werkzeug cuts a chunked body off at its own limit without a word, so that limit is one byte further.
    """
    request.max_content_length = limit + 1
    body = request.get_data()
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def read_body(model: type[ModelT], *, limit: int | None = None) -> ModelT:
    """The request's JSON as ``model``: 415 for another content type, 400 for broken JSON, 422 naming the fields.

    ``limit`` is in bytes; default: the largest payload and some room.
    """
    if not request.is_json:
        raise UnsupportedMediaType("expected the content type application/json")
    return _valid(model, _parse(raw_body(limit or the_flowzz().settings.max_payload_bytes + BODY_ROOM)))


def has_body() -> bool:
    """True when the client says that it sends one."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def read_query(model: type[ModelT]) -> ModelT:
    """The request's query as ``model``: 422 naming the parameters."""
    return _valid(model, request.args.to_dict())


def _valid(model: type[ModelT], data: Any) -> ModelT:
    try:
        return model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [{**problem, "field": _in_body(problem["field"])} for problem in problems_of(error, model)]
        said = "; ".join(f"{problem['field']}: {problem['message']}" for problem in problems)
        raise Problem(422, "invalid-request", said, errors=problems) from None


def _in_body(field: str) -> str:
    return "body" if field == "(payload)" else field


def _parse(raw: bytes) -> Any:
    # RFC 8259 to the letter: no NaN, no text that cannot be written as UTF-8 again (Redis and PostgreSQL refuse it).
    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
        if b"\\u" in raw:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, "broken-json", f"the body is not valid JSON: {reason}") from None
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")

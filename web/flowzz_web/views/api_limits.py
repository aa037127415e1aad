"""Limits over HTTP: how far they are used; another rule over a definition, and back."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic import BeforeValidator, Field

from flowzz.jobs.limits import Rate, parse_rate
from flowzz.jobs.payload import WireModel
from flowzz.jobs.wire import as_wire
from flowzz.limits import Limits
from flowzz_web.bodies import read_body, read_query
from flowzz_web.current import audit, the_flowzz, visitor
from flowzz_web.problems import Problem

blueprint = Blueprint("api_limits", __name__, url_prefix="/api/v1")


class LimitQuery(WireModel):
    offset: Annotated[int, Field(ge=0, le=10**9)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50


def _rate(value: object) -> object:
    if not isinstance(value, str) or value == "none":
        return value
    if len(value) > 50:
        raise ValueError("expected a rate such as 10/60s")
    return parse_rate(value)


class LimitBody(WireModel):
    """A rule that is left out stays as it is; ``none`` lifts it."""

    rate: Annotated[Rate | Literal["none"], BeforeValidator(_rate)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=10**6)] | Literal["none"] | None = None


@blueprint.get("/limits")
def limits() -> ResponseReturnValue:
    """The limits and how far they are used: those that stop something first."""
    query = read_query(LimitQuery)
    return jsonify(as_wire(the_flowzz().queues.limits(offset=query.offset, limit=query.limit)))


@blueprint.put("/limits/<kind>/<path:name>")
def edit(kind: str, name: str) -> ResponseReturnValue:
    """Put another rule over what the plugin says, from now on: 204. ``kind`` is ``queues`` or ``jobs``."""
    change = _edits().set_queue if _is_queue(kind) else _edits().set
    body = read_body(LimitBody)
    change(name, _who(), rate=body.rate, concurrency=body.concurrency)
    audit("limit.set", _subject(kind, name), {**body.model_dump(mode="json"), "via": "api"})
    return "", 204


@blueprint.delete("/limits/<kind>/<path:name>")
def revert(kind: str, name: str) -> ResponseReturnValue:
    """Back to what the plugin says: 204; also when nothing was edited."""
    change = _edits().revert_queue if _is_queue(kind) else _edits().revert
    change(name, _who())
    audit("limit.revert", _subject(kind, name), {"via": "api"})
    return "", 204


def _edits() -> Limits:
    return Limits(the_flowzz())


def _is_queue(kind: str) -> bool:
    if kind not in ("queues", "jobs"):
        raise Problem(404, "not-found", f"expected /limits/queues/… or /limits/jobs/…, got {kind!r}")
    return kind == "queues"


def _subject(kind: str, name: str) -> str:
    return f"queue:{name}" if kind == "queues" else name


def _who() -> str:
    user = visitor()
    return user.email if user else ""

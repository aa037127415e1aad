"""Pauses over HTTP: what is held back, by whom, until when."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, Field

from flowzz.errors import NotFound
from flowzz.jobs.payload import WireModel
from flowzz.jobs.wire import as_wire
from flowzz.queues.pauses import Pause, PauseKind
from flowzz_web.bodies import read_body
from flowzz_web.current import audit, the_flowzz, who
from flowzz_web.problems import Problem

blueprint = Blueprint("api_pauses", __name__, url_prefix="/api/v1")


class PauseBody(WireModel):
    """``until`` is ISO 8601 with a time zone; without it somebody must resume it."""

    kind: PauseKind
    name: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(max_length=200)] = ""
    until: AwareDatetime | None = None


@blueprint.get("/pauses")
def list_pauses() -> ResponseReturnValue:
    """Everything that is paused now: queues, then types of job, then companies."""
    return jsonify({"pauses": [_document(pause) for pause in the_flowzz().queues.pauses()]})


@blueprint.post("/pauses")
def pause() -> ResponseReturnValue:
    """Hold back a queue, a type of job or a company: 201; an earlier pause of the same is replaced."""
    body = read_body(PauseBody)
    the_flowzz().pause(body.kind, body.name, body.reason, until=body.until, by=who())
    until = body.until.isoformat() if body.until else None
    audit(f"{body.kind.value}.pause", body.name, {"reason": body.reason, "until": until, "via": "api"})
    document = _document(Pause(kind=body.kind, name=body.name, reason=body.reason, until=body.until, by=who()))
    return jsonify(document), 201, {"Location": document["links"]["self"]}


@blueprint.delete("/pauses/<kind>/<path:name>")
def resume(kind: str, name: str) -> ResponseReturnValue:
    """204; 404 when that is not paused."""
    if kind not in set(PauseKind):
        raise Problem(404, "not-found", f"expected queue, job or company, got {kind!r}")
    if not the_flowzz().queues.resume_any(PauseKind(kind), name):
        raise NotFound(f"{kind} {name!r} is not paused")
    audit(f"{kind}.resume", name, {"via": "api"})
    return "", 204


def _document(pause: Pause) -> dict[str, Any]:
    link = url_for("api_pauses.resume", kind=pause.kind.value, name=pause.name)
    return {**as_wire(pause), "links": {"self": link}}

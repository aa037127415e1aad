"""Queues over HTTP: counts, pause, resume."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic import Field

from flowzz.jobs.payload import WireModel
from flowzz.jobs.wire import as_wire
from flowzz.queues.pauses import PauseKind
from flowzz.queues.quarantine import quarantine
from flowzz_web.bodies import has_body, read_body
from flowzz_web.current import audit, the_flowzz, who

blueprint = Blueprint("api_queues", __name__, url_prefix="/api/v1")


class PauseBody(WireModel):
    reason: Annotated[str, Field(max_length=200)] = ""


@blueprint.get("/queues")
def list_queues() -> ResponseReturnValue:
    """Every queue with its counts, by name."""
    return jsonify({"queues": as_wire(the_flowzz().stats())})


@blueprint.get("/quarantine")
def quarantined() -> ResponseReturnValue:
    """What was found in a queue and is no readable job, the latest first."""
    return jsonify({"items": as_wire(quarantine(the_flowzz().queues))})


@blueprint.post("/queues/<path:queue>/pause")
def pause(queue: str) -> ResponseReturnValue:
    """Hand out no more of its jobs; active ones finish. The body may carry ``{"reason": "…"}``."""
    reason = read_body(PauseBody).reason if has_body() else ""
    the_flowzz().pause(PauseKind.QUEUE, queue, reason, by=who())
    return _changed("queue.pause", queue, {"reason": reason})


@blueprint.post("/queues/<path:queue>/resume")
def resume(queue: str) -> ResponseReturnValue:
    the_flowzz().queues.resume(the_flowzz().known_queue(queue))
    return _changed("queue.resume", queue, {})


def _changed(action: str, queue: str, detail: dict[str, str]) -> ResponseReturnValue:
    audit(action, queue, {**detail, "via": "api"})
    return jsonify(as_wire(the_flowzz().queues.stats([queue])[0]))

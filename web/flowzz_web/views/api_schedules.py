"""Schedules over HTTP: look, pause, resume, edit, revert, run now."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import Field

from flowzz.clock import now
from flowzz.jobs.payload import WireModel
from flowzz.jobs.wire import as_wire
from flowzz.queues.schedules import FireOutcome
from flowzz.scheduling import Schedules, ScheduleView
from flowzz_web.bodies import has_body, read_body, read_query
from flowzz_web.current import audit, the_flowzz, visitor

blueprint = Blueprint("api_schedules", __name__, url_prefix="/api/v1")


class PauseBody(WireModel):
    reason: Annotated[str, Field(max_length=200)] = ""


class EditBody(WireModel):
    """What to put over the plugin's definition; a value that is left out stays as it is."""

    cron: Annotated[str, Field(max_length=100)] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None


class RunBody(WireModel):
    """``runId`` makes a repeat of the request harmless."""

    run_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,40}$")] | None = None


class TickQuery(WireModel):
    ticks: Annotated[int, Field(ge=1, le=100)] = 20


@blueprint.get("/schedules")
def list_schedules() -> ResponseReturnValue:
    """Every schedule as it counts: the plugin's definition with the run-time edit over it."""
    return jsonify({"schedules": [_document(one.view(now())) for one in _schedules().all()]})


@blueprint.get("/schedules/<name>")
def show(name: str) -> ResponseReturnValue:
    """One schedule with its last ticks, newest first: ``?ticks=`` 1 to 100, default 20."""
    limit = read_query(TickQuery).ticks
    document = _document(_schedules().get(name).view(now()))
    return jsonify({**document, "ticks": as_wire(the_flowzz().queues.ticks(name, limit))})


@blueprint.patch("/schedules/<name>")
def edit(name: str) -> ResponseReturnValue:
    """Another cron line or time zone, from now on."""
    body = read_body(EditBody)
    _schedules().set(name, _who(), cron=body.cron, timezone=body.timezone)
    return _changed(name, "set", body.model_dump())


@blueprint.delete("/schedules/<name>/edit")
def revert(name: str) -> ResponseReturnValue:
    """Back to the plugin's definition, not paused, from now on."""
    _schedules().revert(name, _who())
    return _changed(name, "revert", {})


@blueprint.post("/schedules/<name>/pause")
def pause(name: str) -> ResponseReturnValue:
    """No tick fires until it is resumed. The body may carry ``{"reason": "…"}``."""
    reason = read_body(PauseBody).reason if has_body() else ""
    _schedules().pause(name, reason, _who())
    return _changed(name, "pause", {"reason": reason})


@blueprint.post("/schedules/<name>/resume")
def resume(name: str) -> ResponseReturnValue:
    """Tick again, from now on; what passed meanwhile is not caught up."""
    _schedules().resume(name, _who())
    return _changed(name, "resume", {})


@blueprint.post("/schedules/<name>/run")
def run(name: str) -> ResponseReturnValue:
    """Enqueue its jobs now: 202 with their number. The ticks come as before."""
    run_id = read_body(RunBody).run_id if has_body() else None
    reply = _schedules().run(name, _who(), run_id=run_id)
    ran = reply.outcome is FireOutcome.FIRED
    audit("schedule.run", name, {"jobs": reply.jobs, "via": "api"})
    return jsonify({"schedule": name, "ran": ran, "jobs": reply.jobs}), 202 if ran else 200


def _schedules() -> Schedules:
    return Schedules(the_flowzz())


def _who() -> str:
    user = visitor()
    return user.email if user else ""


def _changed(name: str, action: str, detail: dict[str, Any]) -> ResponseReturnValue:
    audit(f"schedule.{action}", name, {**detail, "via": "api"})
    return jsonify(_document(_schedules().get(name).view(now())))


def _document(view: ScheduleView) -> dict[str, Any]:
    return {**as_wire(view), "links": {"self": url_for("api_schedules.show", name=view.name)}}

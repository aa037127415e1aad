"""Who runs jobs, over HTTP: the workers, and the plugins whose jobs they know."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from flowzz.errors import NotFound
from flowzz.jobs.wire import as_wire
from flowzz_web.current import the_flowzz

blueprint = Blueprint("api_workers", __name__, url_prefix="/api/v1")


@blueprint.get("/workers")
def workers() -> ResponseReturnValue:
    """Every registered worker, stock RQ ones included, by name."""
    return jsonify({"workers": as_wire(the_flowzz().queues.workers())})


@blueprint.get("/plugins")
def plugins() -> ResponseReturnValue:
    """Every installed plugin with its state; needs no Redis."""
    return jsonify({"plugins": as_wire(the_flowzz().plugins.records)})


@blueprint.get("/plugins/<name>")
def plugin(name: str) -> ResponseReturnValue:
    """One plugin: its jobs and schedules, and in ``problem`` why it is not loaded."""
    record = next((record for record in the_flowzz().plugins.records if record.name == name), None)
    if record is None:
        raise NotFound(f"no plugin is named {name!r}")
    return jsonify(as_wire(record))

"""Batches over HTTP."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from flowzz.jobs.wire import as_wire
from flowzz_web.current import the_flowzz

blueprint = Blueprint("api_batches", __name__, url_prefix="/api/v1")


@blueprint.get("/batches/<batch_id>")
def show(batch_id: str) -> ResponseReturnValue:
    """Its counts; ``finishedAt`` and ``callbackId`` once no member was pending. 404 seven days after that."""
    return jsonify(as_wire(the_flowzz().queues.batch(batch_id)))

"""The event stream over HTTP, page by page."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic import Field

from flowzz.jobs.payload import WireModel
from flowzz.jobs.wire import as_wire
from flowzz.queues.events import BEGINNING
from flowzz_web.bodies import read_query
from flowzz_web.current import the_flowzz

blueprint = Blueprint("api_events", __name__, url_prefix="/api/v1")


class EventQuery(WireModel):
    """``since`` is the id of the last event that was read; without it come the newest."""

    since: Annotated[str, Field(max_length=50)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


@blueprint.get("/events")
def events() -> ResponseReturnValue:
    """Transitions, oldest first; ``next`` is what to send as ``since`` for those that come after.

    ``gap`` is true when events after ``since`` are no longer kept.
    """
    query = read_query(EventQuery)
    page = the_flowzz().queues.events_page(query.since, query.limit)
    last = page.items[-1].id if page.items else query.since or BEGINNING
    return jsonify({"events": as_wire(page.items), "next": last, "gap": page.gap})

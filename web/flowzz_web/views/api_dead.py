"""Dead letters over HTTP: list, replay, remove."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, Field

from flowzz.jobs.payload import WireModel
from flowzz.jobs.wire import as_wire
from flowzz.queues.dead import DeadFilter, DeadLetters, DeadReport
from flowzz_web.bodies import read_body, read_query
from flowzz_web.current import the_flowzz, visitor
from flowzz_web.problems import Problem

blueprint = Blueprint("api_dead", __name__, url_prefix="/api/v1")

Name = Annotated[str, Field(min_length=1, max_length=200)]


class Filters(WireModel):
    queue: Name | None = None
    job: Name | None = None
    company: Name | None = None
    error: Name | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def only(self) -> DeadFilter:
        return DeadFilter(
            queue=self.queue,
            job=self.job,
            company=self.company,
            error=self.error,
            since=self.since,
            until=self.until,
        )


class DeadQuery(Filters):
    offset: Annotated[int, Field(ge=0, le=10**9)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class MoveBody(Filters):
    """Which dead jobs: ``ids``, any of the filters, or ``all``."""

    ids: Annotated[list[Name], Field(min_length=1, max_length=1000)] | None = None
    all: bool = False


@blueprint.get("/dead")
def list_dead() -> ResponseReturnValue:
    """Jobs that failed for good, the latest first; ``limit`` (default 50, at most 200) from ``offset``."""
    query = read_query(DeadQuery)
    page = DeadLetters(the_flowzz().queues).page(query.only(), offset=query.offset, limit=query.limit)
    return jsonify(as_wire(page))


@blueprint.post("/dead/replay")
def replay() -> ResponseReturnValue:
    """They wait again with all their attempts; the answer's ``until`` makes a repeat exact."""
    body = _asked()
    return _moved("dead.replay", body, DeadLetters(the_flowzz().queues).replay(body.only(), ids=body.ids))


@blueprint.post("/dead/remove")
def remove() -> ResponseReturnValue:
    """They are deleted with their history."""
    body = _asked()
    return _moved("dead.remove", body, DeadLetters(the_flowzz().queues).remove(body.only(), ids=body.ids))


def _asked() -> MoveBody:
    body = read_body(MoveBody)
    if body.only().is_empty and body.ids is None and not body.all:
        message = 'say which: give ids, a filter such as queue, or {"all": true}'
        raise Problem(422, "invalid-request", message, errors=[{"field": "all", "message": message}])
    return body


def _moved(action: str, body: MoveBody, report: DeadReport) -> ResponseReturnValue:
    user = visitor()
    detail = {"moved": str(report.moved), "via": "api"}
    the_flowzz().store.record_audit(user.email if user else "", action, body.queue or "", detail)
    return jsonify(as_wire(report))

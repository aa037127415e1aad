"""What monitors ask, without signing in; nothing here tells more than counts and queue names."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from flowzz.health import HTTP_STATUS
from flowzz_web.current import the_flowzz

blueprint = Blueprint("health", __name__)


@blueprint.get("/health/queues")
def queues() -> ResponseReturnValue:
    """200 healthy, 207 some queues unhealthy, 503 all unhealthy or Redis gone. Answers within 2 s."""
    report = the_flowzz().health()
    return jsonify(report), HTTP_STATUS[report["status"]]


@blueprint.get("/livez")
def livez() -> ResponseReturnValue:
    """``ok`` while this process answers at all; says nothing about Redis or the database."""
    return "ok", {"Content-Type": "text/plain; charset=utf-8"}

"""What monitors ask, without signing in; nothing here tells more than counts and queue names."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic.alias_generators import to_camel

from flowzz.health import HTTP_STATUS
from flowzz.jobs.connection import ConnectionState
from flowzz_web.current import the_flowzz

blueprint = Blueprint("health", __name__)


@blueprint.get("/health/queues")
def queues() -> ResponseReturnValue:
    """200 healthy, 207 some queues unhealthy, 503 all unhealthy or Redis gone. Answers within 2 s."""
    report = the_flowzz().health()
    return jsonify(report), HTTP_STATUS[report["status"]]


@blueprint.get("/health/connections")
def connections() -> ResponseReturnValue:
    """How many connections of each plugin are in which state: 200 healthy, 207 when one needs credentials."""
    found = the_flowzz().store.all_connections()
    plugins = [
        {
            "plugin": plugin,
            **{
                to_camel(state): sum(one.plugin == plugin and one.state is state for one in found)
                for state in ConnectionState
            },
        }
        for plugin in sorted({one.plugin for one in found})
    ]
    status = "degraded" if any(counts["needsCredentials"] for counts in plugins) else "healthy"
    return jsonify({"status": status, "connections": plugins}), HTTP_STATUS[status]


@blueprint.get("/livez")
def livez() -> ResponseReturnValue:
    """``ok`` while this process answers at all; says nothing about Redis or the database."""
    return "ok", {"Content-Type": "text/plain; charset=utf-8"}

"""Connections over HTTP: what each company is connected to, in which state; new ones, new credentials, tests.

A secret goes in and never comes out. The webhook's address is told once, by the call that made it.
"""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import Field

from flowzz.connections import Connecting, document, webhook_url
from flowzz.errors import InvalidConnection
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.payload import WireModel
from flowzz.jobs.wire import as_wire
from flowzz_web.bodies import has_body, read_body, read_query
from flowzz_web.current import the_flowzz, who
from flowzz_web.problems import Problem

blueprint = Blueprint("api_connections", __name__, url_prefix="/api/v1")

Label = Annotated[str, Field(min_length=1, max_length=200)]
Fields = Annotated[dict[str, Any], Field(max_length=100)]


class ConnectionQuery(WireModel):
    plugin: str | None = None
    company_id: str | None = None
    state: ConnectionState | None = None


class NewConnection(WireModel):
    """``config`` holds all fields of the plugin's model, secrets too; ``test`` asks the upstream before storing."""

    plugin: str
    company_id: str
    label: Label | None = None
    config: Fields
    test: bool = True


class ChangedConnection(WireModel):
    """What is left out stays as it is."""

    label: Label | None = None
    config: Fields = Field(default_factory=dict)
    test: bool = True


class Paused(WireModel):
    reason: Annotated[str, Field(max_length=200)] = ""


@blueprint.get("/connections")
def list_connections() -> ResponseReturnValue:
    """All connections, oldest first, or those of a plugin, of a company, in a state."""
    query = read_query(ConnectionQuery)
    wanted = {"plugin": query.plugin, "company_id": query.company_id, "state": query.state}
    asked = {name: value for name, value in wanted.items() if value is not None}
    found = the_flowzz().store.all_connections()
    kept = [one for one in found if all(getattr(one, name) == value for name, value in asked.items())]
    return jsonify({"connections": [_document(one) for one in kept]})


@blueprint.post("/connections")
def add() -> ResponseReturnValue:
    """Connect a company, once a call to the upstream has worked: 201, with the webhook's address if there is one."""
    body = read_body(NewConnection)
    try:
        made, token = _acts().add(body.plugin, body.company_id, body.label, body.config, test=body.test)
    except InvalidConnection as error:
        raise _in_config(error) from None
    answer = _document(made) | _webhook(made.plugin, token)
    return jsonify(answer), 201, {"Location": answer["links"]["self"]}


@blueprint.get("/connections/<connection_id>")
def show(connection_id: str) -> ResponseReturnValue:
    return jsonify(_document(the_flowzz().store.connection_by_id(connection_id)))


@blueprint.patch("/connections/<connection_id>")
def change(connection_id: str) -> ResponseReturnValue:
    """Other fields or credentials; one that needed credentials is active again, and its jobs go on."""
    body = read_body(ChangedConnection)
    try:
        changed = _acts().update(connection_id, body.config, label=body.label, test=body.test)
    except InvalidConnection as error:
        raise _in_config(error) from None
    return jsonify(_document(changed))


@blueprint.post("/connections/<connection_id>/test")
def test(connection_id: str) -> ResponseReturnValue:
    """Ask the upstream with the stored credentials: 200 with what came of it, ``{works, problem}``."""
    problem = _acts().test(connection_id)
    return jsonify({"works": problem is None, "problem": problem})


@blueprint.post("/connections/<connection_id>/pause")
def pause(connection_id: str) -> ResponseReturnValue:
    """Schedules leave it out and its jobs wait: 204."""
    body = read_body(Paused) if has_body() else Paused()
    _acts().pause(connection_id, body.reason)
    return "", 204


@blueprint.post("/connections/<connection_id>/resume")
def resume(connection_id: str) -> ResponseReturnValue:
    """It is active again: 204."""
    _acts().resume(connection_id)
    return "", 204


@blueprint.post("/connections/<connection_id>/rotate-webhook")
def rotate_webhook(connection_id: str) -> ResponseReturnValue:
    """Another webhook address, told this once: 200 ``{webhookUrl}``; the old one stops working at once."""
    one = the_flowzz().store.connection_by_id(connection_id)
    return jsonify(_webhook(one.plugin, _acts().rotate_webhook(connection_id)))


@blueprint.delete("/connections/<connection_id>")
def remove(connection_id: str) -> ResponseReturnValue:
    """Remove it with its credentials: 204; 422 while a plugin still keeps data of it."""
    _acts().remove(connection_id)
    return "", 204


def _acts() -> Connecting:
    return Connecting(the_flowzz().plugins, the_flowzz().store, who(), via="api")


def _document(one: Connection) -> dict[str, Any]:
    link = url_for("api_connections.show", connection_id=one.id)
    shown = as_wire(document(one, the_flowzz().plugins.connection_types.get(one.plugin)))
    return {**shown, "links": {"self": link}}


def _webhook(plugin: str, token: str) -> dict[str, Any]:
    flowzz = the_flowzz()
    takes = plugin in flowzz.plugins.webhooks
    return {"webhookUrl": webhook_url(flowzz.settings.web_url, plugin, token) if takes else None}


def _in_config(error: InvalidConnection) -> Problem:
    """The fields as they stand in the body."""
    problems = [
        {**one, "field": "config" if one["field"] == "(payload)" else f"config.{one['field']}"}
        for one in error.problems
    ]
    return Problem(422, "invalid-request", str(error), errors=problems)

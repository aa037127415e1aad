"""Webhooks in: find the connection by its token, bound the body, let the plugin take it, answer fast."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from flowzz.plugins.contributions import WebhookRequest
from flowzz_web.bodies import raw_body
from flowzz_web.current import the_flowzz
from flowzz_web.problems import Problem

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")


@blueprint.post("/<plugin>/<token>")
def receive(plugin: str, token: str) -> ResponseReturnValue:
    """Unknown plugin and wrong token get the same answer after the same work. No session, no CSRF: the token is all."""
    flowzz = the_flowzz()
    connection = flowzz.store.connection_by_webhook_token(plugin, token)
    webhook = flowzz.plugins.webhooks.get(plugin)
    if connection is None or webhook is None:
        raise Problem(404, "unknown-webhook", "no connection takes webhooks at this address")
    incoming = WebhookRequest(
        body=raw_body(webhook.max_bytes),
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.args.to_dict(),
        remote_addr=request.remote_addr,
    )
    reply = webhook.receive(incoming, connection, flowzz.store, flowzz)
    return jsonify(reply.body), reply.status

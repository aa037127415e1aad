"""Webhooks in: find the connection by its token, bound the body, let the plugin take it, answer fast."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import MethodNotAllowed

from flowzz.jobs.connection import Connection
from flowzz.plugins.contributions import Webhook, WebhookReply, WebhookRequest
from flowzz_web.bodies import raw_body
from flowzz_web.current import the_flowzz
from flowzz_web.problems import Problem

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")


@blueprint.post("/<plugin>/<token>")
def receive(plugin: str, token: str) -> ResponseReturnValue:
    """Unknown plugin and wrong token get the same answer after the same work. No session, no CSRF: the token is all."""
    webhook, connection = _found(plugin, token)
    flowzz = the_flowzz()
    return _answer(webhook.receive(_incoming(raw_body(webhook.max_bytes)), connection, flowzz.store, flowzz))


@blueprint.get("/<plugin>/<token>")
def challenge(plugin: str, token: str) -> ResponseReturnValue:
    """For upstreams that ask whether somebody is there before they post; 405 where the plugin has no answer."""
    webhook = the_flowzz().plugins.webhooks.get(plugin)
    if webhook is None or webhook.challenge is None:
        raise MethodNotAllowed(valid_methods=["OPTIONS", "POST"])
    _, connection = _found(plugin, token)
    return _answer(webhook.challenge(_incoming(b""), connection))


def _found(plugin: str, token: str) -> tuple[Webhook, Connection]:
    flowzz = the_flowzz()
    connection = flowzz.store.connection_by_webhook_token(plugin, token)
    webhook = flowzz.plugins.webhooks.get(plugin)
    if connection is None or webhook is None:
        raise Problem(404, "unknown-webhook", "no connection takes webhooks at this address")
    return webhook, connection


def _incoming(body: bytes) -> WebhookRequest:
    return WebhookRequest(
        body=body,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.args.to_dict(),
        remote_addr=request.remote_addr,
    )


def _answer(reply: WebhookReply) -> ResponseReturnValue:
    if reply.text is not None:
        return Response(reply.text, reply.status, mimetype="text/plain")
    return jsonify(reply.body), reply.status

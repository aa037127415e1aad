"""The sandbox as a Flask blueprint: the Cloud API under ``/v26.0`` and its like, its controls under ``/_control``."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from flowzz.plugins.sandboxes import cut_connection
from flowzz_whatsapp.sandbox.control import add_controls
from flowzz_whatsapp.sandbox.faults import CATALOGUE
from flowzz_whatsapp.sandbox.life import Life
from flowzz_whatsapp.sandbox.rules import Refusal, refusal_of
from flowzz_whatsapp.sandbox.sender import Sender
from flowzz_whatsapp.sandbox.state import APP_SECRET, SETTINGS, TOKEN, VERIFY_TOKEN, Document, SandboxState

Reply = Response | BaseResponse
_TRANSIENT = (1, 2, 131000, 131016, 131057)
_THROTTLES = (4, 80007, 80008, 130429, 131056)


def sandbox_blueprint() -> Blueprint:
    """A fresh sandbox with a memory of its own; mount it under ``/whatsapp``."""
    state = SandboxState()
    sender = Sender(state)
    life = Life(state, sender)
    blueprint = Blueprint("whatsapp", __name__, template_folder="templates")
    add_controls(blueprint, state, sender, life)

    @blueprint.get("/")
    def index() -> str:
        shown = {"faults": CATALOGUE, "settings": SETTINGS, "stats": state.stats(), "on": state.faults.show()}
        secrets = {"token": TOKEN, "app_secret": APP_SECRET, "verify_token": VERIFY_TOKEN}
        return render_template("whatsapp_sandbox.html", **shown, **secrets)

    @blueprint.route("/v<version>/<node>", methods=["GET"])
    @blueprint.route("/v<version>/<node>/<edge>", methods=["GET", "POST", "DELETE"])
    def graph(version: str, node: str, edge: str = "") -> Reply:
        reply = _graph(state, life, node, edge)
        with state.lock:
            state.calls[f"{request.method} {edge or 'node'}"] += 1
            state.results[reply.status_code] += 1
        return reply

    return blueprint


def _graph(state: SandboxState, life: Life, node: str, edge: str) -> Reply:
    refused = _unauthorized(state)
    if refused is not None:
        return _error(state, refused)
    if not re.fullmatch(r"[0-9]{5,25}", node):
        return _error(state, Refusal(33, f"Object with ID '{node}' does not exist.", subcode=33))
    early = _misfortune(state)
    if early is not None:
        return early
    if edge == "messages" and request.method == "POST":
        return _messages(state, life, node)
    if edge != "message_history" and edge and state.over_management():
        return _error(state, Refusal(80007, "Too many calls.", int(state.settings["throttle_status"])))
    answers: dict[str, Callable[[], Document]] = {
        "": lambda: _sender_info(node),
        "phone_numbers": lambda: {"data": [_sender_info(f"5{node[1:]}")], "paging": {"cursors": {}}},
        "message_templates": lambda: _templates(state),
        "subscribed_apps": lambda: _subscribed(state, node),
        "message_history": lambda: _history(state),
    }
    answer = answers.get(edge)
    if answer is None:
        return _error(state, Refusal(100, f"Unknown path components: /{edge}"))
    return jsonify(answer())


def _unauthorized(state: SandboxState) -> Refusal | None:
    """The token is looked at before anything else, injected faults included."""
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return Refusal(190, "Invalid OAuth access token.", 401)
    expected = hmac.new(APP_SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
    if state.settings["check_proof"] and request.args.get("appsecret_proof", expected) != expected:
        return Refusal(100, "Invalid appsecret_proof provided in the API argument")
    token = state.faults.strike("token")
    if token is not None:
        return Refusal(190, "Error validating access token.", 401, int(token.get("subcode", 463)))
    forbidden = state.faults.strike("forbidden")
    if forbidden is not None:
        return Refusal(int(forbidden.get("code", 10)), "Permission denied.", 403)
    return None


def _misfortune(state: SandboxState) -> Reply | None:
    """The faults that come instead of an answer; nothing was taken."""
    strike = state.faults.strike
    if strike("reset_before") is not None:
        return _cut()
    html = strike("html_error")
    if html is not None:
        return _web_page(int(html.get("status", 502)))
    if strike("html_page") is not None:
        return _web_page(200)
    if strike("redirect") is not None:
        return redirect("https://www.facebook.com/login")
    error = strike("error")
    if error is not None:
        refusal = Refusal(
            int(error.get("code", 131000)),
            str(error.get("details", "Something went wrong.")),
            int(error.get("status", 500)),
            error.get("subcode"),
            error.get("is_transient"),
        )
        return _error(state, refusal)
    return None


def _messages(state: SandboxState, life: Life, sender: str) -> Reply:
    asked = request.get_json(silent=True)
    if not isinstance(asked, Mapping):
        return _error(state, Refusal(100, "The body is no JSON object."))
    if asked.get("status") == "read":
        return jsonify({"success": True})
    refused = refusal_of(state, sender, asked)
    if refused is not None:
        return _error(state, refused)
    message = life.take(sender, asked)
    strike = state.faults.strike
    slow = strike("slow")
    if slow is not None:
        time.sleep(float(slow.get("delay", 2)))
    if strike("reset_after") is not None:
        return _cut()
    answer = _answer(message)
    if strike("no_message") is not None:
        del answer["messages"]
    if strike("broken_json") is not None:
        whole = json.dumps(answer)
        return Response(whole[: len(whole) // 2], mimetype="application/json")
    return jsonify(answer)


def _answer(message: Document) -> Document:
    contact = {"input": message["to"], "wa_id": message["wa_id"], "user_id": message["user_id"]}
    sent: Document = {"id": message["wamid"]}
    if message["type"] == "template":
        sent["message_status"] = message["message_status"]
    return {
        "messaging_product": "whatsapp",
        "contacts": [{name: value for name, value in contact.items() if value is not None}],
        "messages": [sent],
    }


def _sender_info(sender: str) -> Document:
    return {
        "id": sender,
        "display_phone_number": "+55 11 3000-0000",
        "verified_name": "Loja Exemplo",
        "quality_rating": "GREEN",
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
    }


def _templates(state: SandboxState) -> Document:
    name = request.args.get("name")
    with state.lock:
        found = [one for one in state.templates.values() if name in (None, one["name"])]
    shown = [{key: value for key, value in one.items() if key != "parameters"} for one in found]
    return {"data": shown, "paging": {"cursors": {"before": "QkVG", "after": "QUZU"}}}


def _subscribed(state: SandboxState, waba: str) -> Document:
    if request.method == "GET":
        return {"data": [{"whatsapp_business_api_data": {"id": waba}}] if waba in state.subscribed else []}
    (state.subscribed.add if request.method == "POST" else state.subscribed.discard)(waba)
    return {"success": True}


def _history(state: SandboxState) -> Document:
    """ASSUMPTION, like the endpoint itself: shape by Meta's OpenAPI description, seen working by nobody."""
    wamid = request.args.get("message_id", "")
    try:
        message = state.message(wamid)
    except KeyError:
        return {"data": [], "paging": {"cursors": {}}}
    at = int(message["taken_at"].timestamp())
    words = [word.upper() for word in state.settings["statuses"]]
    events = [{"delivery_status": word, "timestamp": at + place} for place, word in enumerate(words)]
    return {"data": [{"id": f"h{wamid}", "message_id": wamid, "events": {"data": events}}], "paging": {"cursors": {}}}


def _error(state: SandboxState, refusal: Refusal) -> Reply:
    error: Document = {
        "message": f"(#{refusal.code}) {refusal.details}",
        "type": "OAuthException",
        "code": refusal.code,
        "error_data": {"messaging_product": "whatsapp", "details": refusal.details},
        "fbtrace_id": "SANDBOXtrace",
    }
    if refusal.subcode is not None:
        error["error_subcode"] = refusal.subcode
    transient = refusal.code in _TRANSIENT if refusal.is_transient is None else refusal.is_transient
    if transient:
        error["is_transient"] = True
    reply = jsonify({"error": error})
    reply.status_code = refusal.status
    if refusal.code in _THROTTLES:
        _add_waits(state, reply)
    return reply


def _add_waits(state: SandboxState, reply: Reply) -> None:
    settings = state.settings
    if settings["retry_after"] is not None:
        reply.headers["Retry-After"] = str(settings["retry_after"])
    if settings["regain_minutes"] is not None:
        usage = {"type": "whatsapp", "call_count": 100, "total_cputime": 20, "total_time": 20}
        usage["estimated_time_to_regain_access"] = settings["regain_minutes"]
        reply.headers["X-Business-Use-Case-Usage"] = json.dumps({"400000000000001": [usage]})


def _web_page(status: int) -> Reply:
    return Response("<!doctype html><title>Facebook</title><h1>Sorry, something went wrong.</h1>", status)


def _cut() -> Reply:
    if cut_connection(request.environ):
        return Response(status=200)
    return Response("this server cannot cut its connections", 500)

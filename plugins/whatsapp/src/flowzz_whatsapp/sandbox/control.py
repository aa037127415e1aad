"""The switches of the sandbox, over HTTP. Everything takes and gives JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, jsonify, request

from flowzz.plugins.sandboxes import controlled, whole_number
from flowzz_whatsapp.sandbox.faults import CATALOGUE
from flowzz_whatsapp.sandbox.life import Life
from flowzz_whatsapp.sandbox.sender import Delivery, Sender, Update
from flowzz_whatsapp.sandbox.state import PHONE_NUMBER_ID, VERIFY_TOKEN, SandboxState

INCOMING_KINDS = ("text", "button", "stop")

Answer = Callable[..., Any]


def add_controls(blueprint: Blueprint, state: SandboxState, sender: Sender, life: Life) -> None:
    """Mount ``/_control/…``; the page at ``/`` lists it."""
    _add_settings(blueprint, state, sender)
    _add_inspection(blueprint, state)
    _add_webhooks(blueprint, state, sender, life)


def _add_settings(blueprint: Blueprint, state: SandboxState, sender: Sender) -> None:
    @blueprint.route("/_control/faults", methods=["GET", "PUT", "DELETE"])
    @_spoken
    def faults() -> Any:
        if request.method != "GET":
            state.faults.switch(_asked() if request.method == "PUT" else {})
        return {"on": state.faults.show(), "catalogue": CATALOGUE}

    @blueprint.route("/_control/settings", methods=["GET", "PUT"])
    @_spoken
    def settings() -> Any:
        if request.method == "PUT":
            state.configure(_asked())
        return state.settings

    @blueprint.post("/_control/templates")
    @_spoken
    def templates() -> Any:
        return state.add_template(_asked())

    @blueprint.post("/_control/clock")
    @_spoken
    def clock() -> Any:
        asked = _asked()
        moved = state.move_clock(float(asked.get("advance", 0)), stop=asked.get("stop") is True)
        return {"now": moved.isoformat()}

    @blueprint.post("/_control/reset")
    @_spoken
    def reset() -> Any:
        sender.forget()
        state.reset()
        return {"reset": True}


def _add_inspection(blueprint: Blueprint, state: SandboxState) -> None:
    @blueprint.get("/_control/stats")
    @_spoken
    def stats() -> Any:
        return state.stats()

    @blueprint.get("/_control/phones")
    @_spoken
    def phones() -> Any:
        return state.phones()

    @blueprint.get("/_control/deliveries")
    @_spoken
    def deliveries() -> Any:
        with state.lock:
            return {"deliveries": list(state.deliveries)}


def _add_webhooks(blueprint: Blueprint, state: SandboxState, sender: Sender, life: Life) -> None:
    @blueprint.post("/_control/incoming")
    @_spoken
    def incoming() -> Any:
        """Somebody writes: ``from``, ``kind`` (text, button, stop), ``text``, ``to`` (the sender), ``delivery``."""
        asked = _asked()
        kind = asked.get("kind", "text")
        if kind not in INCOMING_KINDS:
            raise ValueError(f"expected kind to be one of {', '.join(INCOMING_KINDS)}, got {kind!r}")
        update = life.incoming(str(asked.get("to", PHONE_NUMBER_ID)), str(asked["from"]), kind, asked.get("text", "oi"))
        return {"answers": sender.deliver([update], _delivery(asked), asked.get("url"))}

    @blueprint.post("/_control/statuses")
    @_spoken
    def statuses() -> Any:
        """Tell statuses now: ``items`` of {``message`` (wamid), ``status``, ``code``, ``place`` (s)}, ``delivery``."""
        asked = _asked()
        updates = [
            life.status(state.message(item["message"]), item["status"], item.get("code"), item.get("place", 0))
            for item in asked.get("items", [])
        ]
        return {"answers": sender.deliver(updates, _delivery(asked), asked.get("url"))}

    @blueprint.post("/_control/templates/<name>/status")
    @_spoken
    def template_status(name: str) -> Any:
        """Approve or pause a template: ``status``, ``language``; the event goes to the app's own address."""
        asked = _asked()
        template = state.templates[name, str(asked.get("language", "pt_BR"))]
        template["status"] = str(asked["status"])
        document = {
            "event": template["status"],
            "message_template_id": int(template["id"]),
            "message_template_name": name,
            "message_template_language": template["language"],
            "reason": "NONE",
        }
        update = Update(sender=PHONE_NUMBER_ID, kind="message_template_status_update", document=document)
        return {
            "answers": sender.deliver([update], _delivery(asked), asked.get("url") or state.settings["webhook_url"])
        }

    @blueprint.post("/_control/webhooks/verify")
    @_spoken
    def verify() -> Any:
        """Meta's handshake with an address: ``url``, ``verify_token``."""
        asked = _asked()
        return sender.verify(str(asked["url"]), str(asked.get("verify_token", VERIFY_TOKEN)))

    @blueprint.post("/_control/webhooks/release")
    @_spoken
    def release() -> Any:
        return {"answers": sender.release()}

    @blueprint.post("/_control/burst")
    @_spoken
    def burst() -> Any:
        """Many people write at once: ``count``; in as few POSTs as Meta would make."""
        asked = _asked()
        numbers = [f"+55119{80_000_000 + place}" for place in range(whole_number(asked, "count", 100, 100_000))]
        updates = [life.incoming(PHONE_NUMBER_ID, number, "text", "oi") for number in numbers]
        answers = sender.deliver(updates, _delivery(asked), asked.get("url"))
        return {"sent": len(updates), "posts": len(answers), "answers": answers}


def _spoken(handler: Answer) -> Answer:
    """The handler's answer as JSON."""

    @wraps(handler)
    def answer(**arguments: Any) -> tuple[Response, int]:
        document, status = controlled(handler, **arguments)
        return jsonify(document), status

    return answer


def _asked() -> dict[str, Any]:
    asked = request.get_json(silent=True) if request.get_data() else {}
    if not isinstance(asked, dict):
        raise ValueError("expected a JSON object")
    return asked


def _delivery(asked: dict[str, Any]) -> Delivery | None:
    return Delivery.model_validate(asked["delivery"]) if "delivery" in asked else None

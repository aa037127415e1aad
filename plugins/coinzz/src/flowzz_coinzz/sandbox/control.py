"""The switches of the sandbox, over HTTP. Everything takes and gives JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, jsonify, request

from flowzz.plugins.sandboxes import controlled, whole_number
from flowzz_coinzz.sandbox.faults import CATALOGUE
from flowzz_coinzz.sandbox.lives import LIVES
from flowzz_coinzz.sandbox.payloads import Document, affiliation_document, bent, order_document, subscription_document
from flowzz_coinzz.sandbox.sender import Delivery, Sender
from flowzz_coinzz.sandbox.state import SandboxState

KINDS = ("orders", "affiliations", "subscriptions")
MAX_ORDERS = 1_000_000
MAX_DAYS = 3_650

Answer = Callable[..., Any]


def add_controls(blueprint: Blueprint, state: SandboxState, sender: Sender) -> None:
    """Mount ``/_control/…``; the page at ``/`` lists it."""
    _add_settings(blueprint, state)
    _add_webhooks(blueprint, state, sender)


def _add_settings(blueprint: Blueprint, state: SandboxState) -> None:
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

    @blueprint.post("/_control/seed")
    @_spoken
    def seed() -> Any:
        asked = _asked()
        mixed = asked.get("mixed", False)
        if not isinstance(mixed, bool):
            raise ValueError(f"expected mixed to be true or false, got {mixed!r}")
        if "per_page" in asked:
            state.configure({"per_page": whole_number(asked, "per_page", 10, 500)})
        days = whole_number(asked, "days", 1, MAX_DAYS) if "days" in asked else None
        return {"orders": state.seed(whole_number(asked, "orders", 10, MAX_ORDERS), mixed=mixed, days=days)}

    @blueprint.post("/_control/reset")
    @_spoken
    def reset() -> Any:
        state.reset()
        return {"reset": True}

    @blueprint.get("/_control/stats")
    @_spoken
    def stats() -> Any:
        return state.stats()


def _add_webhooks(blueprint: Blueprint, state: SandboxState, sender: Sender) -> None:
    def url_for_kind(asked: dict[str, Any], kind: str) -> str:
        found = asked.get("url") or state.settings["webhooks"].get(kind)
        if not found:
            raise ValueError(f"no address for {kind}: give url, or PUT webhooks into /_control/settings")
        return str(found)

    @blueprint.post("/_control/webhooks/test")
    @_spoken
    def test_url() -> Any:
        """The panel's "Testar URL": a sample, without utms as the captured one was."""
        asked = _asked()
        kind = _kind(asked)
        document = _sample(state, kind)
        document.pop("utms", None)
        return {"answers": sender.deliver(url_for_kind(asked, kind), [document], Delivery())}

    @blueprint.post("/_control/webhooks/send")
    @_spoken
    def send() -> Any:
        asked = _asked()
        kind = _kind(asked)
        how = Delivery.model_validate(asked.get("delivery", {}))
        return {"answers": sender.deliver(url_for_kind(asked, kind), [bent(_sample(state, kind), state.faults)], how)}

    @blueprint.post("/_control/orders/<number>/advance")
    @_spoken
    def advance(number: str) -> Any:
        asked = _asked()
        life = asked.get("life", "delivered")
        if life not in LIVES:
            raise ValueError(f"no life is named {life!r}; there are {', '.join(LIVES)}")
        how = Delivery.model_validate(asked.get("delivery", {}))
        url = "" if how.never else url_for_kind(asked, "orders")
        sent = state.advance(number, life, whole_number(asked, "steps", 1, 10))
        return {"sent": len(sent), "answers": sender.deliver(url, sent, how)}

    @blueprint.post("/_control/burst")
    @_spoken
    def burst() -> Any:
        """Many new orders, each announced by a webhook."""
        asked = _asked()
        how = Delivery.model_validate(asked.get("delivery", {"concurrent": True}))
        url = url_for_kind(asked, "orders")
        made = [state.add({}) for _ in range(whole_number(asked, "count", 100, 100_000))]
        answers = sender.deliver(url, [order_document(order) for order in made], how)
        return {"sent": len(answers), "accepted": sum(answer["status"] == 200 for answer in answers)}

    @blueprint.post("/_control/webhooks/release")
    @_spoken
    def release() -> Any:
        return {"answers": sender.release()}

    @blueprint.get("/_control/deliveries")
    @_spoken
    def deliveries() -> Any:
        with state.lock:
            return {"deliveries": list(state.deliveries)}


def _spoken(handler: Answer) -> Answer:
    """The handler's answer as JSON."""

    @wraps(handler)
    def answer(**arguments: Any) -> tuple[Response, int]:
        document, status = controlled(handler, **arguments)
        return jsonify(document), status

    return answer


def _sample(state: SandboxState, kind: str) -> Document:
    with state.lock:
        order = state.orders[-1] if state.orders else state.add({})
    if kind == "affiliations":
        return affiliation_document()
    return subscription_document(order) if kind == "subscriptions" else order_document(order)


def _asked() -> dict[str, Any]:
    asked = request.get_json(silent=True) if request.get_data() else {}
    if not isinstance(asked, dict):
        raise ValueError("expected a JSON object")
    return asked


def _kind(asked: dict[str, Any]) -> str:
    kind = asked.get("kind", "orders")
    if kind not in KINDS:
        raise ValueError(f"expected kind to be one of {', '.join(KINDS)}, got {kind!r}")
    return str(kind)

"""The switches of the sandbox, over HTTP. Everything takes and gives JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import Blueprint, Response, jsonify, request

from flowzz.plugins.sandboxes import controlled, whole_number
from flowzz_facebook.sandbox.faults import CATALOGUE
from flowzz_facebook.sandbox.state import SandboxState
from flowzz_facebook.sandbox.world import EDGES

MOST = 100_000

Answer = Callable[..., Any]


def add_controls(blueprint: Blueprint, state: SandboxState) -> None:
    """Mount ``/_control/…``; the page at ``/`` lists it."""
    _add_settings(blueprint, state)
    _add_world(blueprint, state)


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

    @blueprint.post("/_control/reset")
    @_spoken
    def reset() -> Any:
        state.reset()
        return {"reset": True}

    @blueprint.get("/_control/stats")
    @_spoken
    def stats() -> Any:
        return state.stats()

    @blueprint.get("/_control/requests")
    @_spoken
    def requests() -> Any:
        with state.lock:
            return {"requests": list(state.requests)}


def _add_world(blueprint: Blueprint, state: SandboxState) -> None:
    @blueprint.post("/_control/seed")
    @_spoken
    def seed() -> Any:
        """Give an account (default: the first) so many campaigns, ad sets in each and ads in each of those."""
        asked = _asked()
        account = state.account(str(asked.get("account") or next(iter(state.accounts))))
        numbers = [whole_number(asked, name, 2, MOST) for name in ("campaigns", "adSetsEach", "adsEach")]
        with state.lock:
            account.grow(*numbers)
            state.changed()
        return {"account": account.id, **{edge: len(listed) for edge, listed in account.edges.items()}}

    @blueprint.post("/_control/accounts")
    @_spoken
    def add_account() -> Any:
        asked = _asked()
        made = state.add_account(str(asked.get("timezone", "America/Sao_Paulo")), str(asked.get("currency", "BRL")))
        return {"account": made.id}

    @blueprint.put("/_control/objects/<account>/<edge>/<identifier>")
    @_spoken
    def change(account: str, edge: str, identifier: str) -> Any:
        """Change an object's fields; its updated_time moves, unless ``silently`` is true."""
        if edge not in EDGES:
            raise ValueError(f"expected one of {', '.join(EDGES)}, got {edge!r}")
        asked = _asked()
        silently = asked.pop("silently", False)
        with state.lock:
            found = state.account(account)
            before = next((one["updated_time"] for one in found.edges[edge] if one["id"] == identifier), "")
            changed = found.change(edge, identifier, asked, state.now())
            if silently:
                changed["updated_time"] = before
            state.changed()
            return changed

    @blueprint.get("/_control/objects/<account>/<edge>")
    @_spoken
    def objects(account: str, edge: str) -> Any:
        with state.lock:
            return {"objects": list(state.account(account).edges[edge])}

    @blueprint.post("/_control/clock")
    @_spoken
    def clock() -> Any:
        """Put the sandbox's clock ahead: numbers of past days settle."""
        asked = _asked()
        with state.lock:
            state.ahead += timedelta(days=whole_number(asked, "days", 1, 1000))
        return {"now": state.now().isoformat()}


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

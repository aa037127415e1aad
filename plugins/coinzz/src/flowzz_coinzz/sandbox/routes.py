"""The sandbox as a Flask blueprint: Coinzz's API under ``/api``, its controls under ``/_control``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from flowzz.clock import now
from flowzz.plugins.sandboxes import cut_connection
from flowzz_coinzz.coerce import SAO_PAULO
from flowzz_coinzz.sandbox.control import add_controls
from flowzz_coinzz.sandbox.faults import CATALOGUE
from flowzz_coinzz.sandbox.lives import LIVES
from flowzz_coinzz.sandbox.sender import Sender
from flowzz_coinzz.sandbox.state import OFFER, TOKEN, SandboxState

REQUIRED_CUSTOMER = ("name", "email", "document", "phone")
REQUIRED_ADDRESS = ("zip_code", "street", "number", "neighborhood", "city", "state")
PAYMENT_METHODS = ("afterpay", "pix", "bank_slip", "credit_card")

Reply = Response | BaseResponse


def sandbox_blueprint() -> Blueprint:
    """A fresh sandbox with a memory of its own; mount it under ``/coinzz``."""
    state = SandboxState()
    blueprint = Blueprint("coinzz", __name__, template_folder="templates")
    add_controls(blueprint, state, Sender(state))

    @blueprint.get("/")
    def index() -> str:
        page = {"faults": CATALOGUE, "lives": LIVES, "token": TOKEN, "stats": state.stats(), "on": state.faults.show()}
        return render_template("coinzz_sandbox.html", **page)

    @blueprint.get("/login")
    def login() -> str:
        return "<!doctype html><title>Coinzz</title><h1>Entrar</h1>"

    @blueprint.route("/api/<path:path>", methods=["GET", "POST"])
    def api(path: str) -> Reply:
        reply = _api(state, path)
        with state.lock:
            state.statuses[reply.status_code] += 1
        return reply

    @blueprint.route("/<path:path>", methods=["GET", "POST", "PUT", "DELETE"])
    def elsewhere(path: str) -> Reply:
        return _web_page()

    return blueprint


def _api(state: SandboxState, path: str) -> Reply:
    state.count(f"{request.method} {path}")
    early = _misfortune(state) or _limited(state) or _unauthorized()
    if early is not None:
        return early
    reply = _answer(state, path)
    slow = state.faults.strike("slow")
    if slow is not None:
        time.sleep(float(slow.get("delay", 2)))
    if state.faults.strike("reset_after") is not None:
        return _cut()
    if state.faults.strike("truncated_json") is not None:
        whole = reply.get_data()
        reply.set_data(whole[: len(whole) // 2])
    limit = state.settings["rate_limit"]
    if limit is not None:
        reply.headers["X-RateLimit-Limit"] = str(limit)
    return reply


def _answer(state: SandboxState, path: str) -> Reply:
    if request.method == "POST" and path == "sales":
        return _create_sale(state)
    if request.method == "GET" and path == "products":
        return _products()
    if request.method == "GET" and path == state.settings["pull_path"]:
        return _sales(state)
    return _web_page()


def _misfortune(state: SandboxState) -> Reply | None:
    """The faults that come instead of an answer."""
    strike = state.faults.strike
    if strike("reset_before") is not None:
        return _cut()
    error = strike("server_error")
    if error is not None:
        status = int(error.get("status", 503))
        return _web_page(status) if error.get("html") else _json({"message": "Server Error"}, status)
    throttled = strike("throttled")
    if throttled is not None:
        return _throttle(throttled.get("retry_after", 1))
    if strike("unauthorized") is not None:
        return _json({"message": "Unauthenticated."}, 401)
    if strike("redirect_to_login") is not None:
        return redirect(url_for("coinzz.login"))
    if strike("html_page") is not None:
        return _web_page()
    if strike("success_false") is not None:
        return _json({"success": False, "message": "Operação não permitida."})
    return None


def _limited(state: SandboxState) -> Reply | None:
    limited = state.over_limit()
    if limited is None or not limited[2]:
        return None
    reply = _throttle(limited[2])
    reply.headers["X-RateLimit-Limit"] = str(limited[0])
    reply.headers["X-RateLimit-Remaining"] = "0"
    return reply


def _throttle(retry_after: Any) -> Reply:
    reply = _json({"message": "Too Many Attempts."}, 429)
    if retry_after == "date":
        reply.headers["Retry-After"] = format_datetime(now() + timedelta(seconds=2), usegmt=True)
    elif retry_after is not None:
        reply.headers["Retry-After"] = str(retry_after)
    return reply


def _unauthorized() -> Reply | None:
    if request.headers.get("Authorization") == f"Bearer {TOKEN}":
        return None
    if "application/json" in request.headers.get("Accept", ""):
        return _json({"message": "Unauthenticated."}, 401)
    return redirect(url_for("coinzz.login"))


def _products() -> Reply:
    offer = {"name": "1 unidade", "hash": OFFER, "price": 197.0, "original_price": 247.0}
    product = {
        "name": "Produto Exemplo",
        "hash": "pro1a2b3c",
        "description": "…",
        "main_image_url": "https://example.invalid/p.png",
        "warranty_time": 7,
        "categories": [],
        "specifications": {"weight": 0.3, "width": 10, "height": 5, "length": 15},
        "offers": [offer],
    }
    return _json({"data": {"producer": [product], "affiliate": [], "coproducer": []}})


def _create_sale(state: SandboxState) -> Reply:
    given = request.get_json(silent=True)
    asked: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    problems = _sale_problems(asked, state)
    if problems:
        return _json({"message": "Dados inválidos.", "errors": problems}, 422)
    order = state.add(
        {
            "document": "".join(c for c in asked["customer"]["document"] if c.isdigit()).zfill(11),
            "offer_hash": asked["offer_hash"],
            "payment_method": asked["payment_method"],
            "date_order": now().astimezone(SAO_PAULO).strftime("%Y-%m-%d %H:%M:%S"),
        }
    )
    made: dict[str, Any] = {"order_hash": order["number"], "status": "PENDING"}
    if asked["payment_method"] == "pix":
        made["pix"] = {"code": "000201EXAMPLE", "qr_code": "https://example.invalid/qr.png"}
    if asked["payment_method"] == "bank_slip":
        made["bank_slip"] = {"url": "https://example.invalid/slip", "barcode": "0000", "barcode_raw": "0000"}
    if state.faults.strike("missing_order_hash") is not None:
        del made["order_hash"]
    return _json({"success": True, "message": "ok", "data": [made]}, 201)


def _sale_problems(asked: Mapping[str, Any], state: SandboxState) -> dict[str, list[str]]:
    customer = _object(asked, "customer")
    address = _object(customer, "address")
    missing = [f"customer.{key}" for key in REQUIRED_CUSTOMER if not customer.get(key)]
    missing += [f"customer.address.{key}" for key in REQUIRED_ADDRESS if not address.get(key)]
    problems = {name: ["Campo obrigatório."] for name in missing}
    if asked.get("offer_hash") != OFFER:
        problems["offer_hash"] = ["Oferta não encontrada."]
    if asked.get("payment_method") not in PAYMENT_METHODS:
        problems["payment_method"] = ["Forma de pagamento inválida."]
    elif asked["payment_method"] == "afterpay" and _is_refused(str(address.get("zip_code")), state):
        problems["customer.address.zip_code"] = ["CEP sem cobertura para pagamento na entrega."]
    return problems


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _is_refused(zip_code: str, state: SandboxState) -> bool:
    return any(first <= zip_code <= last for first, last in state.settings["refused_zip_codes"])


def _sales(state: SandboxState) -> Reply:
    """ASSUMPTION, like all of the pull: endpoint, parameters and envelope are ours."""
    number = max(1, request.args.get("page", 1, type=int))
    per_page = request.args.get("per_page", state.settings["per_page"], type=int)
    per_page = max(1, min(per_page, int(state.settings["per_page"])))
    since = request.args.get("updated_from")
    moment = datetime.fromisoformat(since).replace(tzinfo=SAO_PAULO) if since else None
    rows, total = state.page(number, per_page, moment)
    pages = max(1, -(-total // per_page))

    def link(page: int) -> str:
        return f"{request.base_url}?page={page}"

    links = {
        "first": link(1),
        "last": link(pages),
        "prev": link(number - 1) if number > 1 else None,
        "next": link(number + 1) if number < pages else None,
    }
    meta = {"current_page": number, "last_page": pages, "per_page": per_page, "total": total}
    return _json({"data": rows, "links": links, "meta": meta})


def _json(document: Any, status: int = 200) -> Reply:
    reply = jsonify(document)
    reply.status_code = status
    return reply


def _web_page(status: int = 200) -> Reply:
    body = "<!doctype html><html><title>Coinzz</title><h1>Página não encontrada</h1></html>"
    return Response(body, status, mimetype="text/html")


def _cut() -> Reply:
    if cut_connection(request.environ):
        return Response(status=200)
    return _json({"message": "this server cannot cut its connections"}, 500)

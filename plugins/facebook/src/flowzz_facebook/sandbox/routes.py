"""The sandbox as a Flask blueprint: the Graph API under its versions, its controls under ``/_control``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, render_template, request

from flowzz.plugins.sandboxes import cut_connection
from flowzz_facebook.sandbox import answers
from flowzz_facebook.sandbox.answers import GraphFault
from flowzz_facebook.sandbox.control import add_controls
from flowzz_facebook.sandbox.faults import CATALOGUE
from flowzz_facebook.sandbox.state import PROOF, TOKEN, SandboxState
from flowzz_facebook.sandbox.world import EDGES

Strike = Callable[[str], Mapping[str, Any] | None]


def sandbox_blueprint() -> Blueprint:
    """A fresh sandbox with a memory of its own; mount it under ``/facebook``."""
    state = SandboxState()
    blueprint = Blueprint("facebook", __name__, template_folder="templates")
    add_controls(blueprint, state)

    @blueprint.get("/")
    def index() -> str:
        page = {"faults": CATALOGUE, "token": TOKEN, "stats": state.stats(), "on": state.faults.show()}
        return render_template("facebook_sandbox.html", **page, settings=state.settings)

    @blueprint.route("/<version>/<path:path>", methods=["GET", "POST"])
    def graph(version: str, path: str) -> Response:
        return Call(state, version, path).answer()

    return blueprint


class Call:
    """One call of the Graph API."""

    def __init__(self, state: SandboxState, version: str, path: str) -> None:
        self.state = state
        self.version = version
        self.parts = path.strip("/").split("/")
        self.args: Mapping[str, str] = {**request.args.to_dict(), **request.form.to_dict()}
        self.account = self._account()
        self.endpoint = self._endpoint()

    def answer(self) -> Response:
        response = self._answer()
        self.state.record(
            {
                "method": request.method,
                "path": "/".join(self.parts),
                "endpoint": self.endpoint,
                "account": self.account,
                "status": response.status_code,
                "query": {name: value for name, value in self.args.items() if name != "access_token"},
                "tokenIn": "header" if request.headers.get("Authorization") else "query",
            }
        )
        return response

    def strike(self, name: str) -> Mapping[str, Any] | None:
        return self.state.faults.strike(name, endpoint=self.endpoint, account=self.account)

    def _answer(self) -> Response:
        slow = self.strike("slow_headers")
        if slow is not None:
            time.sleep(float(slow.get("delay", 2)))
        early = self._instead()
        if early is not None:
            return early
        percent, blocked = self.state.allowance(self.account)
        try:
            self._refuse(blocked)
            body = self._body()
            status = 200
        except GraphFault as fault:
            body, status = json.dumps({"error": fault.error}).encode(), fault.status
        response = self._response(body, status)
        self._headers(response, percent, blocked)
        return response

    def _response(self, body: bytes, status: int) -> Response:
        if self.strike("broken_json") is not None:
            body = body[: len(body) // 2]
        slow = self.strike("slow")
        if slow is None:
            return Response(body, status, content_type="application/json; charset=UTF-8")
        delay = float(slow.get("delay", 2))

        def dribble() -> Any:
            yield body[:1]
            time.sleep(delay)
            yield body[1:]

        return Response(dribble(), status, content_type="application/json; charset=UTF-8")

    def _instead(self) -> Response | None:
        """The faults that come instead of an answer of the Graph API."""
        if self.strike("reset") is not None:
            if cut_connection(request.environ):
                return Response(status=200)
            return Response("this server cannot cut its connections", 500)
        error = self.strike("server_error")
        if error is None:
            return None
        status, body = int(error.get("status", 502)), error.get("body", "html")
        if body == "json":
            return Response(b'{"message": "oops"}', status, content_type="application/json")
        if body == "empty":
            return Response(b"", status)
        return Response("<!doctype html><title>Error</title><h1>Sorry, something went wrong</h1>", status)

    def _refuse(self, blocked: float) -> None:
        """Everything that is an ``error`` object."""
        settings = self.state.settings
        if self.strike("version_ended") is not None or self.version in settings["ended_versions"]:
            raise GraphFault(2635, f"(#2635) You are calling a deprecated version of the Ads API: {self.version}")
        if self.version not in settings["versions"]:
            raise GraphFault(2500, f"Unknown path components: /{self.version}")
        self._authenticate()
        if blocked:
            raise GraphFault(80004, "(#80004) There have been too many calls to this ad-account", subcode=2446079)
        for name, fault in _REFUSALS.items():
            options = self.strike(name)
            if options is not None:
                raise fault(options)

    def _authenticate(self) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or self.args.get("access_token")
        if given != TOKEN:
            raise _refused_token({"subcode": 467} if given else {})
        proof = self.args.get("appsecret_proof")
        if proof is None and self.state.settings["require_proof"]:
            raise GraphFault(100, "API calls from the server require an appsecret_proof argument")
        if proof is not None and proof != PROOF:
            raise GraphFault(104, "Invalid appsecret_proof provided in the API argument")

    def _body(self) -> bytes:
        state, args = self.state, self.args
        if self.endpoint == "report":
            return json.dumps(answers.report(state, state.reports[self.parts[0]])).encode()
        if self.endpoint == "report_rows":
            return answers.report_rows(state, state.reports[self.parts[0]], args)
        if self.endpoint in ("me", "accounts", "debug_token"):
            return json.dumps(self._of_token()).encode()
        found = state.accounts.get(self.account)
        if found is None:
            raise answers.missing(self.parts[0])
        if self.endpoint == "account":
            return json.dumps(answers.projected(found.fields(), args.get("fields"))).encode()
        if self.endpoint == "insights":
            return answers.insights(state, found, args)
        if self.endpoint == "create_report":
            return json.dumps({"report_run_id": answers.create_report(state, found, args).id}).encode()
        if self.endpoint in EDGES:
            return answers.structure(state, found, self.endpoint, args)
        raise GraphFault(2500, f"Unknown path components: /{'/'.join(self.parts[1:])}")

    def _of_token(self) -> Any:
        if self.endpoint == "me":
            return {"id": "100000000000001"}
        if self.endpoint == "accounts":
            shown = [answers.projected(one.fields(), self.args.get("fields")) for one in self.state.accounts.values()]
            return {"data": shown, "paging": {"cursors": {"before": "QkVG", "after": "QUZU"}}}
        valid = self.args.get("input_token") == TOKEN
        data = {"app_id": "7", "type": "SYSTEM_USER", "is_valid": valid, "expires_at": 0, "scopes": ["ads_read"]}
        return {"data": {**data, "user_id": "100000000000001"} if valid else {**data, "error": {"code": 190}}}

    def _headers(self, response: Response, percent: float, blocked: float) -> None:
        headers = response.headers
        headers["facebook-api-version"] = self.version
        if self.strike("version_warning") is not None:
            headers["facebook-api-version"] = "v26.0"
            headers["X-Ad-Api-Version-Warning"] = f"The call was answered by v26.0, for {self.version} has ended"
        told = self.strike("usage") or {}
        throttled = self.state.faults.show().get("throttled", {}) if response.status_code != 200 else {}
        if not self.state.settings["usage_headers"]:
            return
        minutes = told.get("minutes", throttled.get("minutes", math.ceil(blocked / 60)))
        seconds = throttled.get("seconds", math.ceil(blocked))
        if told or throttled or percent:
            percent = float(told.get("percent", 80)) if told else percent or 100.0
        kind = "ads_insights" if "insights" in self.endpoint or "report" in self.endpoint else "ads_management"
        usage = {"type": kind, "call_count": round(percent), "total_cputime": 3, "total_time": 4}
        usage |= {"estimated_time_to_regain_access": minutes, "ads_api_access_tier": "standard_access"}
        headers["X-Business-Use-Case-Usage"] = json.dumps({self.account: [usage]})
        headers["X-App-Usage"] = json.dumps({"call_count": 2, "total_time": 1, "total_cputime": 1})
        account_usage = {"acc_id_util_pct": percent, "reset_time_duration": seconds}
        headers["X-Ad-Account-Usage"] = json.dumps(account_usage)
        if throttled.get("retry_after") is not None:
            headers["Retry-After"] = str(throttled["retry_after"])

    def _account(self) -> str:
        first = self.parts[0]
        run = self.state.reports.get(first)
        return run.account if run is not None else first.removeprefix("act_")

    def _endpoint(self) -> str:
        if self.parts[0] in self.state.reports or self.parts[0].isdigit():
            return "report_rows" if self.parts[1:] == ["insights"] else "report"
        if self.parts[0] == "me":
            return "accounts" if self.parts[1:] == ["adaccounts"] else "me"
        if self.parts[0] == "debug_token":
            return "debug_token"
        if len(self.parts) == 1:
            return "account"
        if self.parts[1] == "insights" and request.method == "POST":
            return "create_report"
        return self.parts[1]


def _refused_token(options: Mapping[str, Any]) -> GraphFault:
    subcode = int(options.get("subcode", 463))
    return GraphFault(190, "Error validating access token", subcode=subcode)


def _permission(options: Mapping[str, Any]) -> GraphFault:
    code = int(options.get("code", 200))
    return GraphFault(code, f"(#{code}) Ad account owner has NOT grant ads_management or ads_read permission")


def _throttled(options: Mapping[str, Any]) -> GraphFault:
    code = int(options.get("code", 80004))
    subcode = 2446079 if code in (17, 80000, 80003, 80004) else {613: 1487742, 4: 1504022}.get(code, 0)
    message = f"(#{code}) There have been too many calls"
    # Real throttles say that they pass, too.
    return GraphFault(code, message, subcode=subcode, status=int(options.get("status", 400)), is_transient=True)


def _passing(options: Mapping[str, Any]) -> GraphFault:
    message = "An unexpected error has occurred. Please retry your request later."
    return GraphFault(int(options.get("code", 2)), message, status=int(options.get("status", 500)), is_transient=True)


_REFUSALS: dict[str, Callable[[Mapping[str, Any]], GraphFault]] = {
    "token_refused": _refused_token,
    "no_permission": _permission,
    "wrong_signature": lambda options: GraphFault(104, "Incorrect signature"),
    "blocked": lambda options: GraphFault(
        368, "The action attempted has been deemed abusive or is otherwise disallowed", error_user_title="Blocked"
    ),
    "throttled": _throttled,
    "passing_error": _passing,
    "unknown_passing_error": lambda options: GraphFault(987654, "Something new", status=500, is_transient=True),
    "refused": lambda options: GraphFault(
        100, "(#100) Tried accessing nonexisting field", error_data={"blame_field_specs": [["fields"]]}
    ),
}
"""In the order they are looked for."""

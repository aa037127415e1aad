"""Signing in to the JSON API, version 1."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import Field, SecretStr

from flowzz.jobs.payload import WireModel
from flowzz_web.bodies import read_body
from flowzz_web.current import the_flowzz, web
from flowzz_web.problems import Problem

blueprint = Blueprint("api_auth", __name__, url_prefix="/api/v1/auth")


class LoginBody(WireModel):
    email: str = Field(max_length=254)
    password: SecretStr = Field(max_length=1024)


@blueprint.post("/login")
def login() -> ResponseReturnValue:
    """Exchange e-mail and password for a bearer token.

    401 for an unknown account, a wrong password and a deactivated user alike; 429 with Retry-After after too many
    attempts.
    """
    body = read_body(LoginBody)
    wait_s = web().throttle.attempt(request.remote_addr, body.email)
    if wait_s is not None:
        raise Problem(429, "too-many-attempts", f"try again in {wait_s} s", headers={"Retry-After": str(wait_s)})
    user = the_flowzz().store.authenticate(body.email, body.password)
    if user is None:
        raise Problem(
            401,
            "bad-credentials",
            "e-mail or password is wrong",
            headers={"WWW-Authenticate": 'Bearer realm="flowzz"'},
        )
    web().throttle.succeeded(request.remote_addr, body.email)
    return jsonify(
        {
            "token": web().tokens.issue(user),
            "tokenType": "Bearer",
            "expiresIn": int(web().tokens.lifetime.total_seconds()),
            "user": {"id": user.id, "email": user.email, "role": user.role.wire},
        }
    )

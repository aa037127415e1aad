"""Signing in and out with a browser."""

from __future__ import annotations

import structlog
from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import SecretStr

from flowzz_web import sessions
from flowzz_web.access import own_path
from flowzz_web.current import the_flowzz, web
from flowzz_web.languages import translate as _

log = structlog.get_logger("flowzz.web")

blueprint = Blueprint("auth", __name__)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    return redirect(url_for("admin.queues"))


@blueprint.get("/login")
def login_page() -> ResponseReturnValue:
    """Who is signed in already goes on; a language may be chosen here too."""
    target = own_path(request.args.get("next"))
    if sessions.signed_in() is not None:
        return redirect(target or url_for("admin.queues"))
    return render_template("login.html", next=target, email="", problem=None)


@blueprint.post("/login")
def login() -> ResponseReturnValue:
    """One answer for an unknown account, a wrong password and a deactivated user."""
    email = request.form.get("email", "").strip()
    wait_s = web().throttle.attempt(request.remote_addr, email)
    if wait_s is not None:
        return _again(email, 429, _("Too many attempts. Try again in %(seconds)s s.", seconds=wait_s), wait_s)
    user = the_flowzz().store.authenticate(email, SecretStr(request.form.get("password", "")))
    if user is None:
        log.warning("sign-in refused", remote_addr=request.remote_addr)
        return _again(email, 401, _("E-mail or password is wrong."))
    web().throttle.succeeded(request.remote_addr, email)
    sessions.start(user)
    the_flowzz().store.record_audit(user.email, "session.start", user.id, {"from": request.remote_addr})
    return redirect(own_path(request.form.get("next")) or url_for("admin.queues"), code=303)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    sessions.end()
    return redirect(url_for("auth.login_page"), code=303)


def _again(email: str, status: int, problem: str, wait_s: int | None = None) -> ResponseReturnValue:
    page = render_template("login.html", next=own_path(request.form.get("next")), email=email[:254], problem=problem)
    return page, status, {"Retry-After": str(wait_s)} if wait_s is not None else {}

"""Every failure leaves as a page for people or as problem+json for programs; nobody ever sees a stack trace."""

from __future__ import annotations

import uuid

import structlog
from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from flowzz_web.access import is_browser
from flowzz_web.problems import Problem, problem_of
from flowzz_web.request_log import asked

log = structlog.get_logger("flowzz.web")
MACHINE_PATHS = ("/api/", "/webhooks/", "/health/", "/livez")


def init_errors(app: Flask) -> None:
    app.register_error_handler(Exception, _answer)


def _answer(error: Exception) -> ResponseReturnValue:
    if isinstance(error, HTTPException) and error.code is not None and error.code < 400:
        return error.get_response()
    problem = _csrf(error) if isinstance(error, CSRFError) else problem_of(error)
    if problem is None:
        problem = _unforeseen(error)
    elif problem.status >= 500:
        log.warning("not answered", **asked(), status=problem.status, reason=problem.detail)
    if _wants_page():
        page = render_template("error.html", problem=problem)
        return page, problem.status, problem.extra_headers
    return problem.json_response()


def _wants_page() -> bool:
    return is_browser() and not f"{request.path}/".startswith(MACHINE_PATHS)


def _csrf(error: CSRFError) -> Problem:
    return Problem(403, "csrf", f"{error.description} Reload the page and try again; nothing was changed.")


def _unforeseen(error: Exception) -> Problem:
    incident = uuid.uuid4().hex[:8]
    log.error("request failed", **asked(), incident=incident, exc_info=error)
    detail = f"something went wrong here; the log has the details under incident {incident}"
    return Problem(500, "internal", detail, incident=incident)

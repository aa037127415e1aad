"""One log line a request, on the logger ``flowzz.web``; webhook tokens and signatures never get into any log.

gunicorn's own access log stays off; this one says the same with the tokens left out. Whatever gunicorn or
werkzeug log about a request by themselves passes a filter that does the same.
"""

from __future__ import annotations

import logging
import re
import time
from urllib.parse import quote

import structlog
from flask import Flask, Response, g, request

from flowzz_web.current import visitor

log = structlog.get_logger("flowzz.web")
HIDDEN = "•••"
SERVERS_LOGGERS = ("gunicorn.error", "gunicorn.access", "werkzeug")
QUIET_ENDPOINTS = frozenset({"static", "health.queues", "health.livez"})

_SAFE_IN_LOG = "/:@!$&'()*+,;=~"
_TOKEN_IN_PATH = re.compile(r"(/webhooks/[^/\s?#]+/)[^\s\"']+", re.IGNORECASE)
_SIGNATURE = re.compile(r"([?&]signature=)[^&\s\"']+", re.IGNORECASE)


def redact_path(path: str) -> str:
    """``path`` with the token of a webhook hidden, and its query, which may hold one too: ``/webhooks/coinzz/•••``;
    of a signed link the signature."""
    return _SIGNATURE.sub(rf"\g<1>{HIDDEN}", _TOKEN_IN_PATH.sub(rf"\g<1>{HIDDEN}", path))


class TokenFilter(logging.Filter):
    """Hides webhook tokens and signatures in whatever a server logs; never drops a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "/webhooks/" in message or "signature=" in message.lower():
            record.msg, record.args = redact_path(message), ()
        return True


def init_request_log(app: Flask) -> None:
    """Log each request after it was answered; unforeseen errors are logged by the error pages."""
    for name in SERVERS_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, TokenFilter) for one in logger.filters):
            logger.addFilter(TokenFilter())

    @app.before_request
    def started() -> None:
        g.started_s = time.perf_counter()

    @app.after_request
    def answered(response: Response) -> Response:
        _log(response)
        return response


def asked() -> dict[str, str]:
    """What was asked for, as a log may say it."""
    return {"method": request.method, "path": redact_path(quote(request.path, safe=_SAFE_IN_LOG))}


def _log(response: Response) -> None:
    quiet = request.endpoint in QUIET_ENDPOINTS or "X-Flowzz-Fragment" in request.headers
    user = visitor()
    log.log(
        logging.DEBUG if quiet else logging.INFO,
        "answered",
        **asked(),
        status=response.status_code,
        took_ms=round((time.perf_counter() - g.started_s) * 1000, 1),
        user=user.email if user else None,
        remote_addr=request.remote_addr,
    )

"""Puts the web together."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from flask_wtf.csrf import CSRFProtect

from flowzz.app import Flowzz
from flowzz.store.keys import load_keys
from flowzz_web import access, errors, formatting, headers, languages, request_log, sessions
from flowzz_web.current import EXTENSION, Web
from flowzz_web.plugin_pages import add_plugin_pages, add_public_pages, translation_folders
from flowzz_web.throttle import LoginThrottle
from flowzz_web.tokens import Tokens
from flowzz_web.views import (
    admin,
    admin_actions,
    admin_connections,
    admin_forms,
    api_auth,
    api_batches,
    api_connections,
    api_dead,
    api_events,
    api_jobs,
    api_limits,
    api_pauses,
    api_queues,
    api_schedules,
    api_workers,
    auth,
    health,
    webhooks,
)

WITHOUT_COOKIES = (
    api_auth,
    api_batches,
    api_connections,
    api_dead,
    api_events,
    api_jobs,
    api_limits,
    api_pauses,
    api_queues,
    api_schedules,
    api_workers,
    webhooks,
)
WITH_COOKIES = (admin, admin_actions, admin_connections, admin_forms, auth, health)

LARGEST_FORM = 64 * 1024


def create_app(flowzz: Flowzz) -> Flask:
    """The whole web of one installation: admin with the plugins' pages, API, health, webhooks in.

    ``flowzz`` stays the caller's to close. Raises ConfigurationError when the signing key is short or missing.
    Also adds a filter to the servers' loggers that hides webhook tokens.
    """
    https = flowzz.settings.web_url.startswith("https://")
    signing_key = load_keys(flowzz.settings).signing_key
    app = Flask("flowzz_web")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(
        MAX_CONTENT_LENGTH=LARGEST_FORM,
        MAX_FORM_MEMORY_SIZE=LARGEST_FORM,
        MAX_FORM_PARTS=50,
        WTF_CSRF_TIME_LIMIT=None,
    )
    request_log.init_request_log(app)  # first: it logs, and times, what the others answer
    app.extensions[EXTENSION] = Web(
        flowzz=flowzz,
        tokens=Tokens(signing_key, timedelta(seconds=flowzz.settings.token_lifetime)),
        throttle=LoginThrottle(app),
    )
    headers.init_headers(app, https=https)
    languages.init_languages(app, https=https, others=translation_folders(flowzz.plugins.admin_pages))
    formatting.init_formatting(app)
    sessions.init_sessions(app, signing_key, https=https)
    errors.init_errors(app)
    app.before_request(access.guard)  # before CSRF: who nobody knows is told so first
    _add_views(app)
    add_plugin_pages(app, flowzz.plugins.admin_pages)
    add_public_pages(app, flowzz.plugins.public_pages)
    return app


def _add_views(app: Flask) -> None:
    protection = CSRFProtect(app)
    for view in WITHOUT_COOKIES:
        protection.exempt(view.blueprint)  # a bearer token counts there, or the token in the path
    for view in (*WITHOUT_COOKIES, *WITH_COOKIES):
        app.register_blueprint(view.blueprint)

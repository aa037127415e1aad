"""English and Brazilian Portuguese: the visitor's choice (``?lang=``, remembered in a cookie), else the browser's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote, urlencode

from flask import Flask, Response, request
from flask_babel import Babel, get_locale, gettext

from flowzz import errors

LANGUAGES = {"en": "English", "pt_BR": "Português"}
TAGS = {"en": "en", "pt_BR": "pt-BR"}
PARAMETER = "lang"
COOKIE = "flowzz_lang"
REMEMBERED = timedelta(days=365)


def translate(message: str, **variables: object) -> str:
    """``message`` in the visitor's language; imported as ``_``, which the extraction looks for."""
    return str(gettext(message, **variables))


_ = translate


def init_languages(app: Flask, *, https: bool, others: Sequence[str] = ()) -> None:
    """``others`` are folders with more translations; where one of them has a text of ours, ours counts."""
    folders = ";".join([*others, "translations"])
    Babel(app, locale_selector=choose_language, default_locale="en", default_translation_directories=folders)

    @app.after_request
    def remember(response: Response) -> Response:
        wanted = request.args.get(PARAMETER)
        if wanted in LANGUAGES and response.mimetype == "text/html":
            response.set_cookie(COOKIE, wanted, max_age=REMEMBERED, httponly=True, samesite="Lax", secure=https)
        return response

    @app.context_processor
    def offer() -> dict[str, object]:
        chosen = str(get_locale() or "en")
        return {
            "languages": LANGUAGES,
            "language_tags": TAGS,
            "language": chosen,
            "in_language": _in_language,
        }


def choose_language() -> str:
    for wanted in (request.args.get(PARAMETER), request.cookies.get(COOKIE)):
        if wanted in LANGUAGES:
            return wanted
    tag = request.accept_languages.best_match(["en", "pt-BR", "pt"], default="en")
    return "pt_BR" if tag.startswith("pt") else "en"


def _in_language(code: str) -> str:
    """This page's address with the language chosen; after a form that failed, the page the form was on."""
    query = {**request.args.to_dict(), PARAMETER: code}
    return f"{quote(request.path)}?{urlencode(query)}"


def explain(error: errors.FlowzzError) -> str:
    """Why something was refused, in the visitor's language where we have words for it."""
    if isinstance(error, errors.NotAllowedInState):
        states = state_names()
        state = states.get(error.state, error.state)
        if error.action == "retry":
            return _("Cannot retry job %(id)s: it is %(state)s.", id=error.job_id, state=state)
        if error.action == "remove":
            return _("Cannot remove job %(id)s: it is %(state)s.", id=error.job_id, state=state)
        if error.action == "cancel":
            return _("Cannot cancel job %(id)s: it is %(state)s.", id=error.job_id, state=state)
    if isinstance(error, errors.JobNotFound):
        return _("No job has the id %(id)s: it was removed, or its retention has passed.", id=error.job_id)
    return str(error)


def state_names() -> dict[str, str]:
    """The states of a job, as people read them."""
    return {
        "waiting": _("waiting"),
        "active": _("active"),
        "delayed": _("delayed"),
        "failed": _("failed"),
        "completed": _("completed"),
        "paused": _("paused"),
        "parked": _("parked"),
        "deferred": _("deferred"),
        "canceled": _("canceled"),
    }


def outcome_names() -> dict[str, str]:
    """How an attempt ended, as people read it."""
    return {
        "completed": _("completed"),
        "failed": _("failed"),
        "retrying": _("failed, tried again"),
        "postponed": _("postponed"),
        "released": _("handed back"),
        "stalled": _("worker lost"),
        "parked": _("parked"),
        "canceled": _("canceled"),
    }


def tick_names() -> dict[str, str]:
    """What came of a tick, as people read it."""
    return {
        "fired": _("fired"),
        "missed": _("missed"),
        "overlapped": _("skipped, earlier jobs were open"),
        "run": _("run by hand"),
    }


def connection_states() -> dict[str, str]:
    """The states of a connection, as people read them."""
    return {
        "active": _("connected"),
        "paused": _("paused"),
        "needs_credentials": _("needs credentials"),
    }


def plugin_states() -> dict[str, str]:
    """The states of a plugin, as people read them."""
    return {
        "loaded": _("loaded"),
        "disabled": _("disabled"),
        "incompatible": _("incompatible"),
        "import-error": _("cannot be imported"),
        "invalid-config": _("invalid configuration"),
        "conflict": _("conflict"),
        "unhealthy": _("unhealthy"),
    }

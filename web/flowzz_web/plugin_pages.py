"""Pages that plugins bring: mounted in the admin, behind its gate, with a link in its navigation; and public ones.

A plugin whose pages cannot be made costs its own pages, with the reason in the log; the admin stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from babel.support import Translations
from flask import Blueprint, Flask, request

from flowzz.plugins.contributions import AdminPages, PublicPages
from flowzz_web.access import PUBLIC_PAGES
from flowzz_web.languages import LANGUAGES, translate

PREFIX = "/admin/plugins"
PUBLIC_PREFIX = "/public"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
NAME = "plugin_"
"""What the names of the plugins' blueprints begin with: a name of the plugin's choice could be one that the gate lets
pass."""

log = structlog.get_logger("flowzz.web")


@dataclass(frozen=True, slots=True)
class PluginLink:
    """One entry of the navigation; ``current`` is True on the plugin's own pages."""

    title: str
    url: str
    current: bool


def add_plugin_pages(app: Flask, contributed: Mapping[str, AdminPages]) -> None:
    """Mount each plugin's blueprint under ``/admin/plugins/<plugin>`` and let templates call ``plugin_links()``."""
    mounted = [pages for _, pages in sorted(contributed.items()) if _mount(app, pages)]

    def plugin_links() -> list[PluginLink]:
        inside = (request.blueprint or "").partition(".")[0]
        return [
            PluginLink(translate(pages.title), f"{PREFIX}/{pages.plugin}/", inside == f"{NAME}{pages.plugin}")
            for pages in mounted
        ]

    app.jinja_env.globals["plugin_links"] = plugin_links


def add_public_pages(app: Flask, contributed: Mapping[str, PublicPages]) -> None:
    """Mount each plugin's blueprint under ``/public/<plugin>``, where nobody is asked who they are."""
    for _, pages in sorted(contributed.items()):
        try:
            blueprint = _blueprint(pages)
            _expect_reading(blueprint)
            _register(app, blueprint, f"{PUBLIC_PAGES}{pages.plugin}", f"{PUBLIC_PREFIX}/{pages.plugin}")
        except Exception:  # noqa: BLE001 - plugin code, logged there
            _log_broken(pages)


def translation_folders(contributed: Mapping[str, AdminPages]) -> list[str]:
    """The folders of those plugins whose texts can be read; one damaged file would break every page."""
    return [str(pages.translations) for pages in contributed.values() if pages.translations and _is_readable(pages)]


def _mount(app: Flask, pages: AdminPages) -> bool:
    home = f"{PREFIX}/{pages.plugin}/"
    try:
        blueprint = _blueprint(pages)
        _register(app, blueprint, f"{NAME}{pages.plugin}", home.rstrip("/"))
        if not any(rule.rule == home for rule in app.url_map.iter_rules()):
            raise LookupError("expected a view at '/', where the link in the navigation leads")
    except Exception:  # noqa: BLE001 - plugin code, logged there
        _log_broken(pages)
        return False
    return True


def _blueprint(pages: AdminPages | PublicPages) -> Blueprint:
    blueprint = pages.blueprint()
    if not isinstance(blueprint, Blueprint):
        raise TypeError(f"expected a flask.Blueprint, got {blueprint!r:.200}")
    return blueprint


def _register(app: Flask, blueprint: Blueprint, name: str, url_prefix: str) -> None:
    """Mount it. Views get a name where they have none, like a partial: CSRFProtect and Limiter go by it."""
    app.register_blueprint(blueprint, name=name, url_prefix=url_prefix)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{name}.") and not hasattr(view, "__name__"):
            app.view_functions[endpoint] = _named(view, endpoint)


def _named(view: Callable[..., Any], name: str) -> Callable[..., Any]:
    def named(**values: Any) -> Any:
        return view(**values)

    named.__name__ = name
    return named


def _expect_reading(blueprint: Blueprint) -> None:
    """Without a login there is no CSRF token either; so a public page that changes something is not mounted at all."""
    trial = Flask("trial")
    trial.register_blueprint(blueprint)
    for rule in trial.url_map.iter_rules():
        if writing := (rule.methods or set()) - READING:
            raise ValueError(f"expected public pages to take GET alone, got {sorted(writing)} at {rule.rule}")


def _log_broken(pages: AdminPages | PublicPages) -> None:
    log.exception("the pages of a plugin cannot be shown", plugin=pages.plugin, distribution=pages.source)


def _is_readable(pages: AdminPages) -> bool:
    folder = pages.translations or Path()
    try:
        for language in LANGUAGES:
            Translations.load(str(folder), [language])
    except Exception:  # a damaged file raises many things
        log.exception("the texts of a plugin cannot be read", plugin=pages.plugin, distribution=pages.source)
        return False
    return True

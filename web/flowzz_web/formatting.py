"""How times, spans, numbers and JSON are shown, in the visitor's language. Jinja filters."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.dates import format_timedelta
from flask import Flask, url_for
from flask_babel import format_decimal, get_locale

from flowzz.clock import now
from flowzz.jobs.wire import moment_as_text
from flowzz_web.access import here
from flowzz_web.current import visitor
from flowzz_web.languages import outcome_names, plugin_states, state_names, tick_names
from flowzz_web.languages import translate as _

LONGEST_JSON = 200_000


def init_formatting(app: Flask) -> None:
    app.add_template_filter(ago)
    app.add_template_filter(span)
    app.add_template_filter(number)
    app.add_template_filter(pretty)
    app.add_template_filter(moment_as_text, "iso")
    app.add_template_filter(exact)
    app.add_template_filter(first_line)

    @app.context_processor
    def words() -> dict[str, object]:
        return {
            "state_names": state_names,
            "outcome_names": outcome_names,
            "tick_names": tick_names,
            "plugin_states": plugin_states,
            "asset": asset,
            "here": here,
            "moment": now,
            "visitor": visitor,
        }


def asset(name: str) -> str:
    """Address of a static file, with its version, so that a browser may keep it for ever."""
    return url_for("static", filename=name, v=_version(name))


def ago(moment: datetime) -> str:
    """``moment`` beside now: ``2 minutes ago``, ``in 5 minutes``, ``now``."""
    distance = moment - now()
    if abs(distance) < timedelta(seconds=1):
        return _("now")
    return str(format_timedelta(distance, add_direction=True, threshold=1.2, locale=get_locale()))


def exact(moment: datetime) -> str:
    """``moment`` in UTC to the second; the page's script turns it into local time."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def span(length: timedelta | float | None) -> str:
    """A length of time (a number means seconds), as short as it can be said: ``350 ms``, ``2.4 s``, ``3 min 20 s``."""
    if length is None:
        return "–"
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 1:
        return f"{format_decimal(round(max(0.0, seconds) * 1000))} ms"
    if seconds < 60:
        return f"{format_decimal(round(seconds, 1))} s"
    for unit, size, part, part_size in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if seconds < size * 60 or unit == "d":
            whole, rest = divmod(int(seconds), size)
            return f"{format_decimal(whole)} {unit}" + (f" {rest // part_size} {part}" if rest // part_size else "")
    raise AssertionError("the last unit takes every length")


def number(value: float) -> str:
    return str(format_decimal(value))


def pretty(value: Any) -> str:
    """JSON as it is easiest to read; very long texts are cut and say so."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if len(text) <= LONGEST_JSON:
        return text
    return text[:LONGEST_JSON] + "\n" + _("… cut at %(count)s characters", count=number(LONGEST_JSON))


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


@lru_cache(maxsize=256)
def _version(name: str) -> str:
    path = Path(__file__).parent / "static" / name
    return format(path.stat().st_mtime_ns, "x")[-10:]

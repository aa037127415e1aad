"""What the web shows of reports: a list for admins, and the files for whoever has a link.

Imported only where the web runs, because it needs Flask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from flowzz.clock import now
from flowzz.settings import Settings
from flowzz_report import records
from flowzz_report.configuration import ReportSettings
from flowzz_report.generate import link_to, links_of
from flowzz_report.links import Links, Verdict
from flowzz_report.naming import MEDIA_TYPES, file_name
from flowzz_report.records import Report, State
from flowzz_report.storage import Storage
from flowzz_web.current import the_flowzz
from flowzz_web.languages import translate as _
from flowzz_web.problems import Problem

PAGE = 50
CHUNK = 256 * 1024


def admin_pages() -> Blueprint:
    """The reports of a company, the newest first, each ready one with a link to its file."""
    blueprint = Blueprint("reports", __name__, template_folder="templates")

    @blueprint.get("/")
    def index() -> str:
        store, settings = the_flowzz().store, ReportSettings.load()
        companies = store.companies()
        asked = request.args.get("company", "")
        chosen = next((company for company in companies if company.id == asked), None)
        page = max(1, request.args.get("page", 1, type=int))
        found = records.reports_of(store, chosen.id if chosen else None, limit=PAGE + 1, offset=(page - 1) * PAGE)
        links = links_of(the_flowzz().settings)
        return render_template(
            "report_index.html",
            companies=companies,
            chosen=chosen,
            names={company.id: company.name for company in companies},
            rows=[(report, _link(links, report, settings)) for report in found[:PAGE]],
            page=page,
            more=len(found) > PAGE,
            words=_words(),
        )

    return blueprint


def public_pages() -> Blueprint:
    """A report's file, for whoever has a link that is signed and not over."""
    blueprint = Blueprint("files", __name__)

    @blueprint.get("/<report_id>")
    def file(report_id: str) -> ResponseReturnValue:
        return _file(the_flowzz().settings, report_id)

    return blueprint


def _file(settings: Settings, report_id: str) -> ResponseReturnValue:
    """The signature is checked before anything is looked up, and every wrong link gets the same answer."""
    expires, signature = request.args.get("expires", ""), request.args.get("signature", "")
    match links_of(settings).judge(report_id, expires, signature, now()):
        case Verdict.FORGED:
            raise Problem(403, "invalid-link", _("This link is not valid. Ask for a new one, and copy it whole."))
        case Verdict.EXPIRED:
            raise Problem(410, "expired-link", _("This link has expired. Ask for a new one."))
    report = records.report_of(the_flowzz().store, report_id)
    if report is None or not report.is_ready or report.file is None:
        raise Problem(410, "file-deleted", _("The file of this report was deleted when its time was over."))
    try:
        opened = Storage.of(settings, ReportSettings.load()).open(report.file)
    except FileNotFoundError:
        raise Problem(410, "file-deleted", _("The file of this report is not there any more.")) from None
    return _sent(report, opened)


def _sent(report: Report, opened: IO[bytes]) -> Response:
    name = file_name(report.report_type, report.first_day, report.last_day, report.format)
    place = "inline" if report.format == "pdf" else "attachment"
    headers = {
        "Content-Disposition": f'{place}; filename="{name}"',
        "Content-Length": str(report.bytes),
        "Cache-Control": "private, no-store",
        "X-Robots-Tag": "noindex",
    }
    answer = Response(_chunks(opened), headers=headers, content_type=MEDIA_TYPES[report.format])
    answer.call_on_close(opened.close)
    return answer


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _link(links: Links, report: Report, settings: ReportSettings) -> str | None:
    return link_to(links, report, settings) if report.is_ready else None


def _words() -> dict[str, str]:
    """Names of kinds and states, in the visitor's language."""
    return {
        "sales": _("Sales"),
        "leads": _("Clients"),
        "performance": _("Performance"),
        "custom": _("Custom"),
        State.RUNNING: _("running"),
        State.READY: _("ready"),
        State.FAILED: _("failed"),
        State.EXPIRED: _("expired"),
    }

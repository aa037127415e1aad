"""The admin's pages. ``access.guard`` lets only an active ADMIN through to any of them."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.state import JobState
from flowzz.queues.pauses import PauseKind
from flowzz_web.access import is_fragment
from flowzz_web.current import the_flowzz
from flowzz_web.explaining import why
from flowzz_web.overview import TABS, company_names, plugin_rows, queue_rows, schedule_rows, total

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

PAGE_SIZE = 50
FURTHEST = 10**9


@blueprint.get("/")
def home() -> ResponseReturnValue:
    return redirect(url_for("admin.queues"))


@blueprint.get("/queues")
def queues() -> ResponseReturnValue:
    """All queues at a glance, the workers and the schedules."""
    flowzz = the_flowzz()
    rows = queue_rows(flowzz)
    workers = flowzz.queues.workers()
    return render_template(
        "admin/queues.html",
        frame=_frame(),
        rows=rows,
        total=total(rows),
        workers=workers,
        pauses=[pause for pause in flowzz.queues.pauses() if pause.kind is not PauseKind.QUEUE],
        companies=company_names(flowzz.store),
        schedules=schedule_rows(flowzz),
        refused=flowzz.store.count_connections(ConnectionState.NEEDS_CREDENTIALS),
    )


@blueprint.get("/queues/<path:queue>")
def jobs(queue: str) -> ResponseReturnValue:
    """One queue's jobs in one state, 50 a page."""
    flowzz = the_flowzz()
    flowzz.known_queue(queue)
    state = _state(request.args.get("state"))
    offset = _offset(request.args.get("offset"))
    page = flowzz.queues.jobs(queue, state, offset=offset, limit=PAGE_SIZE)
    row = next(row for row in queue_rows(flowzz) if row.stats.name == queue)
    return render_template(
        "admin/jobs.html",
        frame=_frame(),
        queue=queue,
        row=row,
        tabs=[tab for tab in TABS if row.count(tab) or tab in TABS[:5] or tab is state],
        state=state,
        page=page,
        companies=company_names(flowzz.store),
    )


@blueprint.get("/jobs/<path:job_id>")
def job(job_id: str) -> ResponseReturnValue:
    """Everything there is to know about one job."""
    flowzz = the_flowzz()
    record = flowzz.queues.job(job_id)
    return render_template(
        "admin/job.html",
        frame=_frame(),
        job=record,
        attempts=flowzz.queues.attempts(job_id),
        log=flowzz.queues.log(job_id),
        companies=company_names(flowzz.store),
        known=record.name in flowzz.plugins.jobs,
        why=why(flowzz.queues.explain(job_id), record),
    )


@blueprint.get("/plugins")
def plugins() -> ResponseReturnValue:
    """The state of each plugin. Needs no Redis, so it answers when little else does."""
    return render_template("admin/plugins.html", frame=_frame(), rows=plugin_rows(the_flowzz().plugins))


def _frame() -> str:
    """A page, or only its live part when the page itself asks."""
    return "fragment.html" if is_fragment() else "page.html"


def _state(text: str | None) -> JobState:
    return JobState(text) if text in set(JobState) else JobState.WAITING


def _offset(text: str | None) -> int:
    wanted = int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else 0
    return min(wanted, FURTHEST)

"""What an admin may do: each action is a POST with a CSRF token, is audited, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from flowzz.errors import InvalidRequest
from flowzz.queues.pauses import PauseKind
from flowzz.scheduling import Schedules
from flowzz_web.access import own_path
from flowzz_web.current import the_flowzz, visitor
from flowzz_web.languages import explain
from flowzz_web.languages import translate as _

blueprint = Blueprint("actions", __name__, url_prefix="/admin")

LONGEST_REASON = 200


@blueprint.post("/jobs/<path:job_id>/retry")
def retry(job_id: str) -> ResponseReturnValue:
    """Back to the start of its attempts; the earlier ones stay on record."""
    return _act(
        "job.retry",
        job_id,
        lambda: the_flowzz().queues.retry(job_id),
        _("Job %(id)s is waiting again.", id=job_id),
        url_for("admin.job", job_id=job_id),
    )


@blueprint.post("/jobs/<path:job_id>/remove")
def remove(job_id: str) -> ResponseReturnValue:
    return _act(
        "job.remove",
        job_id,
        lambda: the_flowzz().queues.remove(job_id),
        _("Job %(id)s was removed.", id=job_id),
        url_for("admin.queues"),
    )


@blueprint.post("/jobs/<path:job_id>/cancel")
def cancel(job_id: str) -> ResponseReturnValue:
    """At once when it has not started; a running one is told to stop."""
    reason = request.form.get("reason", "").strip()[:LONGEST_REASON]
    return _act(
        "job.cancel",
        job_id,
        lambda: the_flowzz().queues.cancel(job_id, reason),
        _("Job %(id)s is canceled, or stops as soon as its handler looks.", id=job_id),
        url_for("admin.job", job_id=job_id),
        {"reason": reason},
    )


@blueprint.post("/queues/<path:queue>/pause")
def pause(queue: str) -> ResponseReturnValue:
    reason = request.form.get("reason", "").strip()[:LONGEST_REASON]
    return _act(
        "queue.pause",
        queue,
        lambda: the_flowzz().pause(PauseKind.QUEUE, queue, reason, by=_who()),
        _("Queue %(name)s is paused. Active jobs finish; waiting jobs stay.", name=queue),
        url_for("admin.queues"),
        {"reason": reason},
    )


@blueprint.post("/queues/<path:queue>/resume")
def resume(queue: str) -> ResponseReturnValue:
    return _act(
        "queue.resume",
        queue,
        lambda: the_flowzz().queues.resume(the_flowzz().known_queue(queue)),
        _("Queue %(name)s runs again.", name=queue),
        url_for("admin.queues"),
    )


@blueprint.post("/pauses/<any(job, company):kind>/<path:name>/resume")
def resume_any(kind: str, name: str) -> ResponseReturnValue:
    """A type of job or a company runs again."""
    return _act(
        f"{kind}.resume",
        name,
        lambda: the_flowzz().queues.resume_any(PauseKind(kind), name),
        _("%(name)s runs again.", name=name),
        url_for("admin.queues"),
    )


@blueprint.post("/schedules/<name>/pause")
def pause_schedule(name: str) -> ResponseReturnValue:
    reason = request.form.get("reason", "").strip()[:LONGEST_REASON]
    return _act(
        "schedule.pause",
        name,
        lambda: Schedules(the_flowzz()).pause(name, reason, _who()),
        _("Schedule %(name)s is paused.", name=name),
        url_for("admin.queues"),
        {"reason": reason},
    )


@blueprint.post("/schedules/<name>/resume")
def resume_schedule(name: str) -> ResponseReturnValue:
    return _act(
        "schedule.resume",
        name,
        lambda: Schedules(the_flowzz()).resume(name, _who()),
        _("Schedule %(name)s ticks again.", name=name),
        url_for("admin.queues"),
    )


@blueprint.post("/schedules/<name>/revert")
def revert_schedule(name: str) -> ResponseReturnValue:
    return _act(
        "schedule.revert",
        name,
        lambda: Schedules(the_flowzz()).revert(name, _who()),
        _("Schedule %(name)s is as its plugin says.", name=name),
        url_for("admin.queues"),
    )


@blueprint.post("/schedules/<name>/run")
def run_schedule(name: str) -> ResponseReturnValue:
    """Its jobs now; the ticks come as before."""
    return _act(
        "schedule.run",
        name,
        lambda: Schedules(the_flowzz()).run(name, _who()),
        _("The jobs of schedule %(name)s were enqueued.", name=name),
        url_for("admin.queues"),
    )


def _who() -> str:
    user = visitor()
    return user.email if user else ""


def _act(
    action: str,
    target: str,
    act: Callable[[], object],
    done: str,
    then: str,
    detail: dict[str, Any] | None = None,
) -> ResponseReturnValue:
    """Do it, put it on record, say it. A refusal is said and recorded too; an outage becomes the 503 page."""
    actor = _who()
    store = the_flowzz().store
    try:
        act()
    except InvalidRequest as error:
        store.record_audit(actor, action, target, {**(detail or {}), "refused": str(error)})
        flash(explain(error), "refused")
    else:
        store.record_audit(actor, action, target, detail)
        flash(done, "done")
    return redirect(own_path(request.form.get("back")) or then, code=303)

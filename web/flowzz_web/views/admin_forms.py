"""What an admin changes with a form of its own: pauses of companies and types of job, the line of a schedule.

What does not fit is said under its field, nothing is changed, and what was typed stays. A change is audited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from flowzz.clock import now
from flowzz.errors import ConfigurationError
from flowzz.jobs.cron import next_tick, trigger, zone_of
from flowzz.jobs.durations import parse_duration
from flowzz.queues.pauses import PauseKind
from flowzz.scheduling import EffectiveSchedule, Schedules
from flowzz_web.current import audit, the_flowzz, visitor, who
from flowzz_web.languages import translate as _
from flowzz_web.views.admin_actions import LONGEST_REASON

blueprint = Blueprint("forms", __name__, url_prefix="/admin")

TICKS_PREVIEWED = 5
ANY_ZONE = "UTC"
CRON_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a field is refused: for people, and what the parser said, in English."""

    sentence: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PauseForm:
    """``target`` is ``company:<id>`` or ``job:<name>``; ``lasts`` is empty until somebody resumes it."""

    target: str = ""
    reason: str = ""
    lasts: str = ""
    wrong: dict[str, Wrong] = field(default_factory=dict)


@blueprint.get("/pauses/new")
def pause_page() -> ResponseReturnValue:
    """The form; ``?target=company:…`` chooses what."""
    return _pause_page(PauseForm(target=request.args.get("target", "")))


@blueprint.post("/pauses/new")
def pause() -> ResponseReturnValue:
    """Hold back a company or a type of job, for a time or until it is resumed."""
    target, lasts = request.form.get("target", ""), request.form.get("lasts", "").strip()
    reason = request.form.get("reason", "").strip()[:LONGEST_REASON]
    wrong, until = {}, None
    kind, _colon, name = target.partition(":")
    if name not in _targets().get(kind, {}):
        wrong["target"] = Wrong(_("Choose a company or a type of job from the list."))
    try:
        until = _end(lasts)
    except ValueError as error:
        wrong["lasts"] = Wrong(_("Expected a time such as 30m, 2h or 1d12h, or nothing."), str(error))
    if wrong:
        return _pause_page(PauseForm(target, reason, lasts, wrong)), 422
    the_flowzz().pause(PauseKind(kind), name, reason, until=until, by=who())
    audit(f"{kind}.pause", name, {"reason": reason, "until": until.isoformat() if until else None})
    shown = _targets()[kind][name]
    flash(_("%(name)s is paused. Active jobs finish; waiting jobs stay.", name=shown), "done")
    return redirect(url_for("admin.queues", _anchor="pauses-title"), code=303)


@blueprint.get("/schedules/<name>")
def schedule_page(name: str) -> ResponseReturnValue:
    """One schedule: what the plugin says, what counts, the form to change it, the next ticks."""
    effective = Schedules(the_flowzz()).get(name)
    return _schedule_page(effective, effective.schedule.cron, effective.schedule.timezone)


@blueprint.post("/schedules/<name>")
def edit_schedule(name: str) -> ResponseReturnValue:
    """``then=save`` lets the line count from now on; anything else only shows when it would tick."""
    schedules = Schedules(the_flowzz())
    effective = schedules.get(name)
    cron = " ".join(request.form.get("cron", "").split())
    timezone = request.form.get("timezone", "").strip()
    wrong = _wrong_line(cron, timezone)
    if wrong:
        return _schedule_page(effective, cron, timezone, wrong), 422
    if request.form.get("then") != "save":
        return _schedule_page(effective, cron, timezone)
    if (cron, timezone) == (effective.schedule.cron, effective.schedule.timezone):
        flash(_("Nothing was changed: the line is as it was."), "done")
    else:
        user = visitor()
        schedules.set(name, user.email if user else "", cron=cron, timezone=timezone)
        audit("schedule.set", name, {"cron": cron, "timezone": timezone})
        flash(_("Schedule %(name)s ticks by the new line from now on.", name=name), "done")
    return redirect(url_for("forms.schedule_page", name=name), code=303)


def _pause_page(form: PauseForm) -> str:
    pauses = {f"{pause.kind.value}:{pause.name}" for pause in the_flowzz().queues.pauses()}
    return render_template("admin/pause.html", form=form, targets=_targets(), paused=pauses, live=False)


def _targets() -> dict[str, dict[str, str]]:
    """What may be paused here, by kind: what it is called, by id."""
    flowzz = the_flowzz()
    companies = sorted(flowzz.store.companies(), key=lambda company: company.name.casefold())
    return {
        PauseKind.COMPANY.value: {company.id: company.name for company in companies},
        PauseKind.JOB.value: {name: name for name in sorted(flowzz.plugins.jobs)},
    }


def _end(lasts: str) -> datetime | None:
    """None when it lasts until somebody resumes it; raises ValueError."""
    if not lasts:
        return None
    length = parse_duration(lasts)
    if not length:
        raise ValueError("expected a time longer than 0")
    return now() + length


def _wrong_line(cron: str, timezone: str) -> dict[str, Wrong]:
    wrong = {}
    try:
        zone_of(timezone)
    except ConfigurationError:
        wrong["timezone"] = Wrong(_("Expected an IANA time zone such as America/Sao_Paulo."))
    try:
        trigger(cron, ANY_ZONE)
    except ConfigurationError as error:
        if len(cron.split()) == CRON_FIELDS:
            wrong["cron"] = Wrong(_("This line cannot be read, or never ticks."), str(error))
        else:
            wrong["cron"] = Wrong(_("Expected five fields: minute, hour, day, month, weekday."))
    return wrong


def _schedule_page(
    effective: EffectiveSchedule, cron: str, timezone: str, wrong: dict[str, Wrong] | None = None
) -> str:
    own, counts = effective.definition, effective.schedule
    return render_template(
        "admin/schedule.html",
        effective=effective,
        schedule=counts,
        cron=cron,
        timezone=timezone,
        wrong=wrong or {},
        lines=[(_("Cron"), own.cron, counts.cron), (_("Time zone"), own.timezone, counts.timezone)],
        is_preview=(cron, timezone) != (counts.cron, counts.timezone),
        upcoming=[] if wrong else _upcoming(cron, timezone),
        live=False,
    )


def _upcoming(cron: str, timezone: str) -> list[tuple[datetime, datetime]]:
    """The next ticks of a line, each in UTC and in the schedule's own zone."""
    found: list[tuple[datetime, datetime]] = []
    tick = now()
    try:
        while len(found) < TICKS_PREVIEWED:
            tick = next_tick(cron, timezone, tick)
            found.append((tick, tick.astimezone(zone_of(timezone))))
    except ConfigurationError:
        pass  # it ticks so rarely that no more come; those before it stand
    return found

"""Why a job is not running, in the visitor's language. A reason we have no words for keeps the engine's sentence."""

from __future__ import annotations

from flowzz.jobs.missing import distribution_of
from flowzz.queues.explain import Explanation, Reason
from flowzz.queues.records import JobRecord
from flowzz_web.formatting import exact
from flowzz_web.languages import translate as _


def why(told: Explanation, job: JobRecord) -> str:
    """One sentence that ends with a full stop; empty for jobs that run or have ended."""
    if told.reason in (Reason.RUNNING, Reason.FINAL):
        return ""
    return " ".join(part for part in (_reason(told, job), _until(told), _note(told)) if part)


def _reason(told: Explanation, job: JobRecord) -> str:
    match told.reason:
        case Reason.DELAYED:
            return _("It is delayed.")
        case Reason.PLUGIN_MISSING:
            return _(
                "No running worker knows the job %(name)s. It runs when its plugin is back: install %(distribution)s.",
                name=job.name,
                distribution=distribution_of(job.name),
            )
        case Reason.PARENTS_PENDING:
            return _("It waits for the jobs %(jobs)s.", jobs=", ".join(told.holders) or told.key or "–")
        case Reason.SUSPENDED:
            return _("All workers are suspended (rq suspend).")
        case Reason.QUEUE_PAUSED:
            return _("Queue %(name)s is paused.", name=told.key)
        case Reason.PAUSED:
            kind, _colon, name = (told.key or "").partition(":")
            if kind == "company":
                return _("Company %(name)s is paused.", name=name)
            return _("Jobs named %(name)s are paused.", name=name)
        case Reason.NO_WORKER:
            return _("No live worker serves queue %(name)s.", name=told.key)
        case Reason.RATE_LIMITED:
            return _("Limit %(name)s admits no more for now.", name=told.key)
        case Reason.HELD:
            return _("The upstream asked to wait: limit %(name)s is held.", name=told.key)
        case Reason.CONCURRENCY_LIMITED:
            return _("Limit %(name)s is used up by %(jobs)s.", name=told.key, jobs=", ".join(told.holders) or "–")
        case Reason.IN_TURN if told.position:
            return _("It waits for its turn, number %(number)s in its line.", number=told.position)
        case Reason.IN_TURN:
            return _("It waits for its turn.")
    return f"{told.sentence[:1].upper()}{told.sentence[1:]}."


def _until(told: Explanation) -> str:
    return _("Until %(moment)s.", moment=exact(told.until)) if told.until else ""


def _note(told: Explanation) -> str:
    return _("Reason: %(note)s", note=told.note) if told.note and told.reason is not Reason.PLUGIN_MISSING else ""

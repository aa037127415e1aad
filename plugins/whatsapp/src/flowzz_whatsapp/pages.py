"""The admin's page of messages: by company and state, each with how far it is and, where it failed, what to do."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from flowzz.errors import InvalidRequest, NotFound
from flowzz_web.access import own_path
from flowzz_web.current import the_flowzz, visitor
from flowzz_web.languages import explain
from flowzz_web.languages import translate as _
from flowzz_whatsapp.codes import EXPLANATIONS
from flowzz_whatsapp.configuration import WhatsAppSettings
from flowzz_whatsapp.deciding import Decision, decide, may_decide
from flowzz_whatsapp.listing import list_messages
from flowzz_whatsapp.news import count_news, list_news
from flowzz_whatsapp.resending import may_resend, resend
from flowzz_whatsapp.states import State

PAGE = 50
MOST_OFFSET = 1_000_000
_TONES = {
    State.WAITING: "delayed",
    State.SENDING: "active",
    State.UNKNOWN: "paused",
    State.ACCEPTED: "waiting",
    State.HELD: "delayed",
    State.SENT: "waiting",
    State.DELIVERED: "completed",
    State.READ: "completed",
    State.FAILED: "failed",
    State.DROPPED: "canceled",
}


def messages_blueprint() -> Blueprint:
    blueprint = Blueprint("whatsapp", __name__, template_folder="templates")
    blueprint.add_url_rule("/", view_func=messages)
    blueprint.add_url_rule("/account", view_func=account)
    blueprint.add_url_rule("/<int:number>/resend", view_func=send_again, methods=["POST"])
    blueprint.add_url_rule("/<int:number>/arrived", view_func=arrived, methods=["POST"])
    blueprint.add_url_rule("/<int:number>/dropped", view_func=dropped, methods=["POST"])
    return blueprint


def state_words() -> dict[State, str]:
    """The states of a message, as people read them."""
    return {
        State.WAITING: _("waiting"),
        State.SENDING: _("on its way"),
        State.UNKNOWN: _("outcome unknown"),
        State.ACCEPTED: _("accepted"),
        State.HELD: _("held by Meta"),
        State.SENT: _("sent"),
        State.DELIVERED: _("delivered"),
        State.READ: _("read"),
        State.FAILED: _("failed"),
        State.DROPPED: _("dropped"),
    }


def news_words() -> dict[str, str]:
    """What Meta's news are about, as people read it; other kinds go by Meta's own name."""
    return {
        "message_template_status_update": _("status of a template"),
        "message_template_quality_update": _("quality of a template"),
        "message_template_components_update": _("text of a template"),
        "template_category_update": _("category of a template"),
        "phone_number_quality_update": _("quality of a number"),
        "phone_number_name_update": _("name of a number"),
        "account_update": _("the account"),
        "account_review_update": _("review of the account"),
        "account_alerts": _("alert about the account"),
        "business_capability_update": _("limits of the account"),
    }


def account() -> str:
    """What Meta told of templates, numbers and the account."""
    store = the_flowzz().store
    company, offset = request.args.get("company") or None, _offset()
    return render_template(
        "whatsapp_account.html",
        companies={company.id: company.name for company in store.companies()},
        company=company,
        words=news_words(),
        rows=list_news(store, company_id=company, offset=offset, limit=PAGE),
        total=count_news(store, company),
        offset=offset,
        limit=PAGE,
    )


def messages() -> str:
    store = the_flowzz().store
    companies = {company.id: company.name for company in store.companies()}
    company = request.args.get("company") or None
    state = _state(request.args.get("state"))
    offset = _offset()
    page = list_messages(store, company_id=company, state=state, offset=offset, limit=PAGE)
    return render_template(
        "whatsapp_messages.html",
        companies=companies,
        company=company,
        state=state,
        words=state_words(),
        tones=_TONES,
        page=page,
        offset=offset,
        limit=PAGE,
        may_resend=may_resend,
        may_decide=may_decide,
        keep_days=WhatsAppSettings.load().keep_days,
        explanations=EXPLANATIONS,
        news=count_news(store, company),
    )


def send_again(number: int) -> ResponseReturnValue:
    """A new job, told to the visitor by its id."""

    def again(actor: str) -> tuple[dict[str, str], str]:
        flowzz = the_flowzz()
        job_id = resend(flowzz.store, flowzz, number)
        return {"job": job_id}, _("The message is sent again by job %(id)s.", id=job_id)

    return _audited("resend", number, again)


def arrived(number: int) -> ResponseReturnValue:
    """The visitor found a message of unknown outcome in the recipient's chat."""

    def say(actor: str) -> tuple[dict[str, str], str]:
        decide(the_flowzz().store, number, Decision.ARRIVED, actor)
        return {}, _("Message no. %(number)s counts as sent.", number=number)

    return _audited(Decision.ARRIVED, number, say)


def dropped(number: int) -> ResponseReturnValue:
    """The visitor wants no more of a message of unknown outcome."""

    def say(actor: str) -> tuple[dict[str, str], str]:
        decide(the_flowzz().store, number, Decision.DROPPED, actor)
        return {}, _("Message no. %(number)s is dropped.", number=number)

    return _audited(Decision.DROPPED, number, say)


def _audited(what: str, number: int, act: Callable[[str], tuple[dict[str, str], str]]) -> ResponseReturnValue:
    """Back to where the visitor was. ``act`` gives what to put on record and what to say; so does a refusal."""
    store, user = the_flowzz().store, visitor()
    actor = user.email if user else "system"
    try:
        detail, said = act(actor)
    except (InvalidRequest, NotFound) as error:
        store.record_audit(actor, f"whatsapp.{what}", str(number), {"refused": str(error)})
        flash(explain(error), "refused")
    else:
        store.record_audit(actor, f"whatsapp.{what}", str(number), detail)
        flash(said, "done")
    return redirect(own_path(request.form.get("back", "")) or url_for(".messages"), code=303)


def _offset() -> int:
    return min(max(0, request.args.get("offset", 0, type=int)), MOST_OFFSET)


def _state(word: str | None) -> State | None:
    return State(word) if word in list(State) else None

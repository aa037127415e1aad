"""Connections in the admin: which there are and how they are; new ones, new credentials, tests, pauses.

The forms are made from the plugins' models. No secret is ever shown, and none survives a form that was refused. A
webhook's address is shown once, by the answer to the POST that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from flowzz.connections import Connecting, stored_secrets, webhook_url
from flowzz.errors import ConnectionTestFailed, InvalidConnection, InvalidRequest
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.plugins.contributions import ConnectionType
from flowzz_web.access import own_path
from flowzz_web.connection_fields import form_fields, typed_values
from flowzz_web.current import audit, the_flowzz, who
from flowzz_web.languages import connection_states
from flowzz_web.languages import translate as _
from flowzz_web.overview import company_names
from flowzz_web.views.admin_actions import LONGEST_REASON
from flowzz_web.views.admin_forms import Wrong

blueprint = Blueprint("connections", __name__, url_prefix="/admin/connections")

TONES = {ConnectionState.ACTIVE: "completed", ConnectionState.PAUSED: "paused"}
LABEL = "connection-label"
COMPANY = "connection-company"
"""Names of the form's own fields; no field of a model has a hyphen."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A form as it stands: what was typed, what is wrong with it, and what the upstream said against it."""

    label: str = ""
    company_id: str = ""
    typed: Mapping[str, Any] = field(default_factory=dict)
    wrong: Mapping[str, Wrong] = field(default_factory=dict)
    refused: str = ""


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Every connection; ``?plugin=``, ``?company=`` and ``?state=`` narrow it."""
    flowzz = the_flowzz()
    found = flowzz.store.all_connections()
    chosen = {name: request.args.get(name, "") for name in ("plugin", "company", "state")}
    rows = [
        one
        for one in found
        if chosen["plugin"] in ("", one.plugin)
        and chosen["company"] in ("", one.company_id)
        and chosen["state"] in ("", one.state.value)
    ]
    return render_template(
        "admin/connections.html",
        rows=sorted(rows, key=lambda one: (one.state is not ConnectionState.NEEDS_CREDENTIALS, one.created_at)),
        any=bool(found),
        counts={state: sum(one.state is state for one in found) for state in ConnectionState},
        total=len(found),
        chosen=chosen,
        companies=company_names(flowzz.store),
        plugins=sorted({one.plugin for one in found}),
        kinds=flowzz.plugins.connection_types,
        **_words(),
    )


@blueprint.get("/new")
def new_page() -> ResponseReturnValue:
    """The form of ``?plugin=``, or the choice of a plugin."""
    plugin = request.args.get("plugin", "")
    if not plugin:
        return render_template("admin/connection_kinds.html", kinds=_kinds(), live=False)
    return _new_page(_acts().kind(plugin), Draft(company_id=request.args.get("company", "")))


@blueprint.post("/new")
def add() -> ResponseReturnValue:
    """Test and store; ``then=store`` stores without a test."""
    kind = _acts().kind(request.args.get("plugin", ""))
    typed = typed_values(kind.model, request.form, is_new=True)
    draft = Draft(request.form.get(LABEL, "").strip(), request.form.get(COMPANY, ""), typed)
    if draft.company_id not in company_names(the_flowzz().store):
        wrong = {COMPANY: Wrong(_("Choose a company from the list."))}
        return _new_page(kind, Draft(draft.label, draft.company_id, typed, wrong)), 422

    def store() -> Connection:
        return _acts().add(kind.plugin, draft.company_id, draft.label or None, typed, test=_is_tested())[0]

    made = _tried(draft, store)
    if isinstance(made, Draft):
        return _new_page(kind, made), 422
    flash(_("%(name)s is connected.", name=made.label), "done")
    return redirect(url_for(".page", connection_id=made.id), code=303)


@blueprint.get("/<connection_id>")
def page(connection_id: str) -> ResponseReturnValue:
    """One connection: how it is, the form to change it, what may be done with it."""
    return _page(the_flowzz().store.connection_by_id(connection_id), None)


@blueprint.post("/<connection_id>")
def change(connection_id: str) -> ResponseReturnValue:
    """Test and store the changed fields; ``then=store`` stores without a test. Secrets left empty stay."""
    one = the_flowzz().store.connection_by_id(connection_id)
    typed = typed_values(_acts().kind(one.plugin).model, request.form, is_new=False)
    draft = Draft(request.form.get(LABEL, "").strip(), one.company_id, typed)

    def store() -> Connection:
        return _acts().update(connection_id, typed, label=draft.label or one.label, test=_is_tested())

    changed = _tried(draft, store)
    if isinstance(changed, Draft):
        return _page(one, changed), 422
    if one.state is ConnectionState.NEEDS_CREDENTIALS and changed.state is ConnectionState.ACTIVE:
        flash(_("%(name)s is active again; the jobs that waited for it go on.", name=changed.label), "done")
    else:
        flash(_("%(name)s was changed.", name=changed.label), "done")
    return redirect(url_for(".page", connection_id=connection_id), code=303)


@blueprint.post("/<connection_id>/test")
def test(connection_id: str) -> ResponseReturnValue:
    """Ask the upstream with what is stored."""

    def ask() -> str:
        problem = _acts().test(connection_id)
        if problem:
            raise ConnectionTestFailed(problem)
        return _("The connection works.")

    return _act("test", connection_id, ask)


@blueprint.post("/<connection_id>/pause")
def pause(connection_id: str) -> ResponseReturnValue:
    reason = request.form.get("reason", "").strip()[:LONGEST_REASON] or _("paused in the admin")

    def act() -> str:
        _acts().pause(connection_id, reason)
        return _("The connection is paused. Its jobs wait until it is resumed.")

    return _act("pause", connection_id, act)


@blueprint.post("/<connection_id>/resume")
def resume(connection_id: str) -> ResponseReturnValue:
    def act() -> str:
        _acts().resume(connection_id)
        return _("The connection is active; the jobs that waited for it go on.")

    return _act("resume", connection_id, act)


@blueprint.post("/<connection_id>/rotate-webhook")
def rotate_webhook(connection_id: str) -> ResponseReturnValue:
    """A new address, shown in this answer and never again."""
    flowzz = the_flowzz()
    one = flowzz.store.connection_by_id(connection_id)
    url = webhook_url(flowzz.settings.web_url, one.plugin, _acts().rotate_webhook(connection_id))
    answer = render_template("admin/connection_webhook.html", one=one, url=url, live=False)
    return answer, {"Cache-Control": "no-store"}


@blueprint.post("/<connection_id>/remove")
def remove(connection_id: str) -> ResponseReturnValue:
    def act() -> str:
        return _("%(name)s was removed with its credentials.", name=_acts().remove(connection_id).label)

    return _act("remove", connection_id, act, then=url_for(".index"))


def _acts() -> Connecting:
    return Connecting(the_flowzz().plugins, the_flowzz().store, who())


def _is_tested() -> bool:
    return request.form.get("then") != "store"


def _tried(draft: Draft, store: Callable[[], Connection]) -> Connection | Draft:
    """What was stored, or the form again with what is wrong with it."""
    try:
        return store()
    except InvalidConnection as error:
        return Draft(draft.label, draft.company_id, draft.typed, _wrong(error))
    except (ConnectionTestFailed, InvalidRequest) as error:
        said = error.problem if isinstance(error, ConnectionTestFailed) else str(error)
        return Draft(draft.label, draft.company_id, draft.typed, {}, said)


def _wrong(error: InvalidConnection) -> dict[str, Wrong]:
    """By field; what pydantic says of a field inside another goes to the outer one."""
    return {
        str(problem["field"]).partition(".")[0]: Wrong(_("This does not fit."), str(problem["message"]))
        for problem in reversed(error.problems)
    }


def _act(name: str, connection_id: str, act: Callable[[], str], then: str = "") -> ResponseReturnValue:
    """Do it and say it; a refusal is said and put on record too."""
    try:
        done = act()
    except ConnectionTestFailed as error:
        flash(_("The connection does not work: %(problem)s", problem=error.problem), "refused")
    except InvalidRequest as error:
        audit(f"connection.{name}", connection_id, {"refused": str(error)})
        flash(str(error), "refused")
    else:
        flash(done, "done")
        if then:
            return redirect(then, code=303)
    return redirect(own_path(request.form.get("back")) or url_for(".page", connection_id=connection_id), code=303)


def _new_page(kind: ConnectionType, draft: Draft) -> str:
    return render_template(
        "admin/connection_new.html",
        kind=kind,
        draft=draft,
        fields=form_fields(kind.model, draft.typed),
        companies=company_names(the_flowzz().store),
        names={"label": LABEL, "company": COMPANY},
        live=False,
    )


def _page(one: Connection, draft: Draft | None) -> str:
    flowzz = the_flowzz()
    kind = flowzz.plugins.connection_types.get(one.plugin)
    shown = draft.typed if draft else one.config
    return render_template(
        "admin/connection.html",
        one=one,
        kind=kind,
        draft=draft or Draft(one.label),
        fields=form_fields(kind.model, shown, stored_secrets(one)) if kind else [],
        company=company_names(flowzz.store).get(one.company_id, one.company_id),
        takes_webhooks=one.plugin in flowzz.plugins.webhooks,
        names={"label": LABEL},
        live=False,
        **_words(),
    )


def _kinds() -> list[ConnectionType]:
    return sorted(the_flowzz().plugins.connection_types.values(), key=lambda kind: kind.title.casefold())


def _words() -> dict[str, Any]:
    return {"states": connection_states(), "tones": {state: TONES.get(state, "failed") for state in ConnectionState}}

"""``flowzz whatsapp``: look at messages, have one sent again, say where users are told."""

from __future__ import annotations

import click

from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.errors import InvalidRequest
from flowzz.store import Store, User
from flowzz_whatsapp.deciding import Decision, decide
from flowzz_whatsapp.listing import Row, list_messages
from flowzz_whatsapp.phones import phones, remove_phone, set_phone
from flowzz_whatsapp.resending import resend
from flowzz_whatsapp.states import State

SHOWN_TEXT = 40


@click.group("whatsapp")
def whatsapp_commands() -> None:
    """WhatsApp: messages, and whom to tell."""


@whatsapp_commands.command("messages")
@click.option("--company", "company_id", metavar="ID", help="Only of this company.")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
@pass_session
def list_command(session: Session, company_id: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List messages, the newest first."""
    with session.store() as store:
        names = {company.id: company.name for company in store.companies()}
        page = list_messages(store, company_id=company_id, state=State(state) if state else None, limit=limit)
    if as_json:
        print_json([_public(row) for row in page.rows])
        return
    rows = [
        (
            row["id"],
            names.get(row["company_id"], row["company_id"]),
            row["recipient"],
            row["state"],
            row["updated_at"],
            _text(row),
            row["problem"],
        )
        for row in page.rows
    ]
    columns = ("number", "company", "to", "state", "changed", "message", "problem")
    print_table(columns, rows, empty="no messages")
    if page.total > len(page.rows):
        click.echo(f"{page.total - len(page.rows)} more; --limit shows them", err=True)


@whatsapp_commands.command("resend", short_help="Send a message again.")
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def resend_command(session: Session, number: int, yes: bool) -> None:
    """Send message NUMBER again: one that failed, was dropped, or is unknown and not in the recipient's chat."""
    if not yes:
        click.confirm("If the recipient has it already, it arrives twice. Send it again?", abort=True)
    with session.app() as app:
        job_id = resend(app.store, app, number)
        app.store.record_audit("cli", "whatsapp.resend", str(number), {"job": job_id})
    click.echo(f"message {number} is sent again by job {job_id}")


@whatsapp_commands.command("arrived", short_help="Say that a message of unknown outcome arrived.")
@click.argument("number", type=int)
@pass_session
def arrived_command(session: Session, number: int) -> None:
    """Say that message NUMBER, of unknown outcome, is in the recipient's chat."""
    _decide(session, number, Decision.ARRIVED)
    click.echo(f"message {number} counts as sent")


@whatsapp_commands.command("drop", short_help="Give a message of unknown outcome up.")
@click.argument("number", type=int)
@pass_session
def drop_command(session: Session, number: int) -> None:
    """Drop message NUMBER, of unknown outcome: it is not sent again, whether it arrived or not."""
    _decide(session, number, Decision.DROPPED)
    click.echo(f"message {number} is dropped")


@whatsapp_commands.group("phones")
def phone_commands() -> None:
    """Where users are told that something is ready."""


@phone_commands.command("list")
@json_option
@pass_session
def list_phones(session: Session, as_json: bool) -> None:
    """List the users who are told by WhatsApp."""
    with session.store() as store:
        known = phones(store)
        found = [(user.email, known[user.id]) for user in store.users() if user.id in known]
    if as_json:
        print_json([{"email": email, "phone": phone} for email, phone in found])
        return
    print_table(("user", "phone"), found, empty="no user is told by WhatsApp")


@phone_commands.command("set")
@click.argument("email")
@click.argument("phone")
@pass_session
def set_command(session: Session, email: str, phone: str) -> None:
    """Tell the user with this e-mail address at PHONE (with + and country code)."""
    with session.store() as store:
        stored = set_phone(store, _user(store, email).id, phone)
        store.record_audit("cli", "whatsapp.phone_set", email)
    click.echo(f"{email} is told at {stored}")


@phone_commands.command("remove")
@click.argument("email")
@pass_session
def remove_command(session: Session, email: str) -> None:
    """Tell the user with this e-mail address nothing by WhatsApp any more."""
    with session.store() as store:
        if remove_phone(store, _user(store, email).id):
            store.record_audit("cli", "whatsapp.phone_remove", email)
    click.echo(f"{email} is told nothing by WhatsApp")


def _decide(session: Session, number: int, decision: Decision) -> None:
    with session.store() as store:
        decide(store, number, decision, "somebody at the command line")
        store.record_audit("cli", f"whatsapp.{decision}", str(number))


def _user(store: Store, email: str) -> User:
    user = store.user_by_email(email)
    if user is None:
        raise InvalidRequest(f"no user has the e-mail address {email!r}; flowzz users list shows them")
    return user


_OWN = ("fingerprint", "match_key", "throttles", "resend_job")


def _public(row: Row) -> Row:
    """A row without what only the plugin needs."""
    return {name: value for name, value in row.items() if name not in _OWN}


def _text(row: Row) -> str:
    if row["content_deleted_at"] is not None:
        return f"content deleted on {row['content_deleted_at']:%Y-%m-%d}"
    text = f"[{row['template_name']}]" if row["kind"] == "template" else " ".join(str(row["body"]).split())
    return text if len(text) <= SHOWN_TEXT else f"{text[: SHOWN_TEXT - 1]}…"

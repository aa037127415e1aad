"""``flowzz connections``."""

from __future__ import annotations

from typing import Any

import click

from flowzz.cli.connecting import asked, given
from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.connections import Connecting, document, webhook_url
from flowzz.errors import InvalidRequest
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.plugins.connecting import connection_type
from flowzz.store import Store

set_option = click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="A plain field.")
secret_option = click.option(
    "--secret-from-env", "secrets", metavar="NAME=VARIABLE", multiple=True, help="A secret field, from the environment."
)
no_test_option = click.option("--no-test", is_flag=True, help="Store it without asking the upstream first.")


@click.group("connections")
def command() -> None:
    """Connect companies to upstreams."""


@command.command(
    "add",
    epilog="""\b
Examples:
  flowzz connections add --plugin coinzz --company 3f0c…
  flowzz connections add --plugin coinzz --company 3f0c… --set NAME=VALUE --secret-from-env NAME=VARIABLE""",
)
@click.option("--plugin", required=True, help="Whose upstream.")
@click.option("--company", "company_id", required=True, help="Id of the company.")
@click.option("--label", help="How people call it (default: the plugin's title).")
@set_option
@secret_option
@no_test_option
@json_option
@pass_session
def add(
    session: Session,
    plugin: str,
    company_id: str,
    label: str | None,
    settings: tuple[str, ...],
    secrets: tuple[str, ...],
    no_test: bool,
    as_json: bool,
) -> None:
    """Connect a company to a plugin's upstream, once a call to it has worked.

    Asks for what is not given; secrets stay hidden. Prints the webhook URL this once.
    """
    model = connection_type(session.plugins, plugin).model
    with session.store() as store:
        store.company(company_id)
        known = given(model, settings, secrets)
        values = asked(model, known, optional=not known)
        made, token = _acts(session, store).add(plugin, company_id, label, values, test=not no_test)
    _tell(session, made, token, as_json=as_json)


@command.command("list")
@click.option("--plugin", help="Only of this plugin.")
@json_option
@pass_session
def list_connections(session: Session, plugin: str | None, as_json: bool) -> None:
    """List the connections and their states."""
    with session.store() as store:
        names = {company.id: company.name for company in store.companies()}
        found = [one for one in store.all_connections() if plugin in (None, one.plugin)]
    if as_json:
        print_json([_public(session, one) for one in found])
        return
    rows = [
        (
            one.id,
            one.plugin,
            names.get(one.company_id, one.company_id),
            one.label,
            one.state.value,
            one.state_reason or one.check_problem,
            one.state_since,
            one.succeeded_at,
        )
        for one in found
    ]
    columns = ("id", "plugin", "company", "label", "state", "why", "since", "last success")
    print_table(
        columns, rows, empty="no connections; add one with: flowzz connections add --plugin PLUGIN --company ID"
    )


@command.command("show")
@click.argument("connection_id")
@json_option
@pass_session
def show(session: Session, connection_id: str, as_json: bool) -> None:
    """Show a connection; its secrets stay stars."""
    with session.store() as store:
        one = store.connection_by_id(connection_id)
        shown = _public(session, one) | {"secrets": dict.fromkeys(one.secrets, "**********")}
    if as_json:
        print_json(shown)
        return
    facts = [(name, value) for name, value in shown.items() if name not in ("config", "secrets")]
    facts += [*shown["config"].items(), *shown["secrets"].items()]
    print_table(("field", "value"), facts, empty="")


@command.command(
    "update",
    epilog="""\b
Examples:
  flowzz connections update 7d1e…
  flowzz connections update 7d1e… --set NAME=VALUE --secret-from-env NAME=VARIABLE""",
)
@click.argument("connection_id")
@click.option("--label", help="How people call it.")
@set_option
@secret_option
@no_test_option
@json_option
@pass_session
def update(
    session: Session,
    connection_id: str,
    label: str | None,
    settings: tuple[str, ...],
    secrets: tuple[str, ...],
    no_test: bool,
    as_json: bool,
) -> None:
    """Give new fields or credentials, once a call with them has worked.

    What is not named stays. Asks for all fields when none is named; Enter keeps what is stored. A connection that
    needed credentials is active again, and the jobs that waited for it go on; one that a person paused stays paused.
    A label alone is stored without a test.
    """
    with session.store() as store:
        before = store.connection_by_id(connection_id)
        model = connection_type(session.plugins, before.plugin).model
        known = given(model, settings, secrets)
        values = known if known or label is not None else asked(model, {}, optional=True, stored=before)
        if not values and label is None:
            raise InvalidRequest("nothing was given, so nothing was changed")
        changed = _acts(session, store).update(connection_id, values, label=label, test=not no_test)
    if as_json:
        print_json(_public(session, changed))
        return
    click.echo(f"{connection_id} updated{_standing(before, changed)}")


@command.command("test")
@click.argument("connection_id")
@pass_session
def test(session: Session, connection_id: str) -> None:
    """Call the upstream with the stored credentials."""
    with session.store() as store:
        one = store.connection_by_id(connection_id)
        problem = _acts(session, store).test(connection_id)
    if problem:
        raise InvalidRequest(f"{one.label} does not work: {problem}")
    click.echo(f"{one.label} works{_standing(one, one)}")


@command.command("pause")
@click.argument("connection_id")
@click.option("--reason", default="paused on the command line", show_default=True)
@pass_session
def pause(session: Session, connection_id: str, reason: str) -> None:
    """Leave the connection out of schedules until it is resumed."""
    with session.store() as store:
        _acts(session, store).pause(connection_id, reason)
    click.echo(f"{connection_id} is paused")


@command.command("resume")
@click.argument("connection_id")
@pass_session
def resume(session: Session, connection_id: str) -> None:
    """Let the connection run again."""
    with session.store() as store:
        _acts(session, store).resume(connection_id)
    click.echo(f"{connection_id} is active")


@command.command("rotate-webhook")
@click.argument("connection_id")
@json_option
@pass_session
def rotate_webhook(session: Session, connection_id: str, as_json: bool) -> None:
    """Print a new webhook URL; the old one stops working at once."""
    with session.store() as store:
        one = store.connection_by_id(connection_id)
        token = _acts(session, store).rotate_webhook(connection_id)
    _tell(session, one, token, as_json=as_json)


@command.command("remove")
@click.argument("connection_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def remove(session: Session, connection_id: str, yes: bool) -> None:
    """Remove a connection with its credentials."""
    with session.store() as store:
        one = store.connection_by_id(connection_id)
        if not yes:
            click.confirm(f"Remove {one.label} ({one.plugin}) with its credentials?", abort=True)
        _acts(session, store).remove(connection_id)
    click.echo(f"{one.label} removed")


def _acts(session: Session, store: Store) -> Connecting:
    return Connecting(session.plugins, store, "cli")


def _public(session: Session, one: Connection) -> dict[str, Any]:
    return document(one, session.plugins.connection_types.get(one.plugin))


def _standing(before: Connection, now: Connection) -> str:
    """What becomes of the jobs that wait for it, if any may."""
    if now.state is ConnectionState.ACTIVE:
        is_new = before.state is not ConnectionState.ACTIVE
        return "; it is active again, and the jobs that waited for it go on" if is_new else ""
    waits = "still waits for new credentials" if now.state is ConnectionState.NEEDS_CREDENTIALS else "is still paused"
    why = f" ({now.state_reason})" if now.state_reason else ""
    return f"; it {waits}{why}; to let it run as it is: flowzz connections resume {now.id}"


def _tell(session: Session, one: Connection, token: str, *, as_json: bool) -> None:
    takes_webhooks = one.plugin in session.plugins.webhooks
    url = webhook_url(session.settings.web_url, one.plugin, token) if takes_webhooks else None
    if as_json:
        print_json(_public(session, one) | {"webhookUrl": url})
        return
    click.echo(one.id)
    if url:
        click.echo(f"Webhook URL, shown this once; keep it secret: {url}")

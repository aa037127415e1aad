"""``flowzz users``."""

from __future__ import annotations

import sys

import click
from pydantic import SecretStr

from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session
from flowzz.store.records import Role


@click.group("users")
def command() -> None:
    """Add and list who may log in."""


@command.command(
    "add",
    epilog="""\b
Examples:
  flowzz users add ana@loja.example --role operator
  printf %s "$PASSWORD" | flowzz users add ana@loja.example --password-stdin""",
)
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), default="viewer", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin instead of asking for it.")
@pass_session
def add(session: Session, email: str, role: str, password_stdin: bool) -> None:
    """Add a user. The password has 12 characters or more and is never given as an argument."""
    with session.store() as store:
        user = store.add_user(email, _password(from_stdin=password_stdin), Role(role))
        store.record_audit("cli", "user.add", user.email, {"role": user.role.value})
    click.echo(f"{user.email} may log in as {user.role.value}")


@command.command("list")
@json_option
@pass_session
def list_users(session: Session, as_json: bool) -> None:
    """List the users."""
    with session.store() as store:
        users = store.users()
    if as_json:
        print_json(users)
        return
    rows = [(user.email, user.role.value, "yes" if user.is_active else "no", user.created_at) for user in users]
    print_table(("e-mail", "role", "active", "added"), rows, empty="no users; the first `flowzz up` makes an admin")


def _password(*, from_stdin: bool) -> SecretStr:
    if from_stdin:
        return SecretStr(sys.stdin.readline().rstrip("\r\n"))
    return SecretStr(click.prompt("Password", hide_input=True, confirmation_prompt=True))

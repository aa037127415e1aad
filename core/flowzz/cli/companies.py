"""``flowzz companies``."""

from __future__ import annotations

import click

from flowzz.cli.output import json_option, print_json, print_table
from flowzz.cli.session import Session, pass_session


@click.group("companies")
def command() -> None:
    """Add, list and remove companies."""


@command.command("add", epilog='Example: flowzz companies add "Loja da Ana"')
@click.argument("name")
@click.option("--id", "company_id", help="Its id, the empresaId of payloads (default: a new UUID).")
@json_option
@pass_session
def add(session: Session, name: str, company_id: str | None, as_json: bool) -> None:
    """Add a company and print its id."""
    with session.store() as store:
        company = store.add_company(name, company_id)
        store.record_audit("cli", "company.add", company.id, {"name": company.name})
    if as_json:
        print_json(company)
    else:
        click.echo(company.id)


@command.command("list")
@json_option
@pass_session
def list_companies(session: Session, as_json: bool) -> None:
    """List the companies."""
    with session.store() as store:
        companies = store.companies()
    if as_json:
        print_json(companies)
        return
    rows = [(company.id, company.name, company.created_at) for company in companies]
    print_table(("id", "name", "added"), rows, empty="no companies; add one with: flowzz companies add NAME")


@command.command("remove")
@click.argument("company_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def remove(session: Session, company_id: str, yes: bool) -> None:
    """Remove a company with its connections and their credentials."""
    with session.store() as store:
        company = store.company(company_id)
        if not yes:
            click.confirm(f"Remove {company.name} with its connections and credentials?", abort=True)
        store.remove_company(company_id)
        store.record_audit("cli", "company.remove", company_id, {"name": company.name})
    click.echo(f"{company.name} removed")

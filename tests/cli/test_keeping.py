"""What the command line keeps: users, companies, connections, keys, tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from flowzz.jobs.connection import ConnectionState
from flowzz.settings import Settings
from flowzz.store import Store

from .conftest import Cli

PASSWORD = "a long enough password"
RESUME = "flowzz connections resume"


def test_migrate_runs_once(cli: Cli) -> None:
    assert "ran core:" in cli.ok("migrate")
    assert cli.json("migrate") == {"ran": []}


def test_users_are_added_with_a_password_that_is_never_an_argument(migrated: Cli, home: Path) -> None:
    migrated.ok("users", "add", "ana@loja.example", "--role", "admin", "--password-stdin", input=f"{PASSWORD}\n")
    migrated.ok("users", "add", "bia@loja.example", input=f"{PASSWORD}\n{PASSWORD}\n")
    assert {user["email"]: user["role"] for user in migrated.json("users", "list")} == {
        "ana@loja.example": "admin",
        "bia@loja.example": "viewer",
    }
    store = Store.open(Settings.load(home=home))
    assert store.authenticate("ana@loja.example", SecretStr(PASSWORD)) is not None
    store.close()
    assert PASSWORD not in migrated.ok("users", "add", "--help")


def test_a_short_password_and_a_duplicate_are_refused(migrated: Cli) -> None:
    short = migrated("users", "add", "ana@loja.example", "--password-stdin", input="short\n")
    assert (short.exit_code, "12" in short.stderr) == (1, True)
    migrated.ok("users", "add", "ana@loja.example", "--password-stdin", input=PASSWORD)
    assert migrated("users", "add", "ana@loja.example", "--password-stdin", input=PASSWORD).exit_code == 1


def test_companies(migrated: Cli) -> None:
    made = migrated.ok("companies", "add", "Loja da Ana").strip()
    assert migrated.json("companies", "add", "Loja da Bia", "--id", "bia")["id"] == "bia"
    assert [company["id"] for company in migrated.json("companies", "list")] == [made, "bia"]
    assert migrated("companies", "remove", "bia", input="n\n").exit_code == 1
    migrated.ok("companies", "remove", "bia", "--yes")
    assert [company["id"] for company in migrated.json("companies", "list")] == [made]
    assert migrated("companies", "remove", "bia", "--yes").exit_code == 1


@pytest.fixture
def company(migrated: Cli) -> str:
    return str(migrated.json("companies", "add", "Loja")["id"])


def test_a_connection_asks_for_exactly_the_plugins_fields(migrated: Cli, company: str) -> None:
    result = migrated(
        "connections", "add", "--plugin", "shop", "--company", company, input="https://shop.example\nkey-4711\n\n"
    )
    assert result.exit_code == 0, result.output
    made, said = result.stdout.splitlines()
    assert "key-4711" not in result.output
    assert f"http://127.0.0.1:3000/webhooks/shop/{made}." in said
    shown = migrated.json("connections", "show", made)
    assert shown["config"] == {"base_url": "https://shop.example", "page_size": 50}
    assert shown["secrets"] == {"api_key": "**********"}


def test_scripts_give_fields_and_take_secrets_from_the_environment(migrated: Cli, company: str) -> None:
    migrated.env["SHOP_KEY"] = "key-4711"
    words = ("--set", "base_url=https://shop.example", "--set", "page_size=7", "--secret-from-env", "api_key=SHOP_KEY")
    made = migrated.json("connections", "add", "--plugin", "shop", "--company", company, *words)
    assert made["config"]["page_size"] == 7
    assert made["webhookUrl"].startswith("http://127.0.0.1:3000/webhooks/shop/")
    assert "key-4711" not in migrated.ok("connections", "show", made["id"], "--json")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--set", "api_key=x"), 2, "is a secret"),
        (("--set", "base_ur=x"), 2, "did you mean 'base_url'"),
        (("--set", "base_url"), 2, "expected name=value"),
        (("--secret-from-env", "api_key=NOT_THERE"), 2, "no variable NOT_THERE"),
        (("--set", "base_url=x", "--set", "page_size=0", "--secret-from-env", "api_key=HOME"), 1, "page_size: "),
    ],
)
def test_wrong_fields_are_refused(migrated: Cli, company: str, words: tuple[str, ...], code: int, said: str) -> None:
    result = migrated("connections", "add", "--plugin", "shop", "--company", company, *words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    assert migrated.json("connections", "list") == []


def test_what_does_not_work_is_not_stored_unless_the_test_is_skipped(migrated: Cli, company: str) -> None:
    migrated.env["SHOP_KEY"] = "wrong"
    words = ("--company", company, "--set", "base_url=https://shop.example", "--secret-from-env", "api_key=SHOP_KEY")
    refused = migrated("connections", "add", "--plugin", "shop", *words)
    assert (refused.exit_code, "the shop refused the API key" in refused.stderr) == (1, True)
    assert migrated.json("connections", "list") == []
    migrated.ok("connections", "add", "--plugin", "shop", *words, "--no-test")
    assert len(migrated.json("connections", "list")) == 1


@pytest.fixture
def connection(migrated: Cli, company: str) -> str:
    migrated.env["SHOP_KEY"] = "key-4711"
    words = ("--set", "base_url=https://shop.example", "--secret-from-env", "api_key=SHOP_KEY")
    return str(migrated.json("connections", "add", "--plugin", "shop", "--company", company, *words)["id"])


def test_a_connection_is_tested_paused_resumed_updated_and_removed(migrated: Cli, connection: str) -> None:
    assert migrated.ok("connections", "test", connection) == "Shop works\n"
    migrated.ok("connections", "pause", connection, "--reason", "holidays")
    (listed,) = migrated.json("connections", "list")
    assert (listed["state"], listed["stateReason"]) == ("paused", "holidays")
    migrated.ok("connections", "resume", connection)
    assert migrated.json("connections", "list", "--plugin", "shop")[0]["state"] == "active"
    assert migrated.json("connections", "list", "--plugin", "other") == []
    assert migrated.json("connections", "list")[0]["checkProblem"] is None
    migrated.env["SHOP_KEY"] = "wrong"
    words = ("--label", "Old shop", "--secret-from-env", "api_key=SHOP_KEY")
    migrated.ok("connections", "update", connection, *words, "--no-test")
    refused = migrated("connections", "test", connection)
    assert (refused.exit_code, "refused the API key" in refused.stderr) == (1, True)
    assert migrated.json("connections", "list")[0]["checkProblem"] == "the shop refused the API key"
    assert migrated.ok("connections", "remove", connection, "--yes") == "Old shop removed\n"
    assert migrated("connections", "show", connection).exit_code == 1


def test_new_values_are_tested_before_they_replace_the_old_ones(migrated: Cli, connection: str) -> None:
    before = migrated.json("connections", "show", connection)
    migrated.env["SHOP_KEY"] = "wrong"
    words = ("--label", "New", "--set", "page_size=7", "--secret-from-env", "api_key=SHOP_KEY")
    refused = migrated("connections", "update", connection, *words)
    said = "Error: the connection was tested and does not work: the shop refused the API key\n"
    assert (refused.exit_code, refused.stderr) == (1, said)
    assert migrated.json("connections", "show", connection) == before
    migrated.env["SHOP_KEY"] = "key-4712"
    changed = migrated.json("connections", "update", connection, *words)
    assert (changed["label"], changed["config"]["page_size"]) == ("New", 7)
    assert changed["checkedAt"] > before["checkedAt"]
    assert changed == migrated.json("connections", "list")[0]


def test_an_update_that_asks_keeps_what_is_answered_by_enter(migrated: Cli, home: Path, connection: str) -> None:
    migrated.ok("connections", "update", connection, "--set", "page_size=7")
    asked = migrated("connections", "update", connection, input="\n\n9\n")
    assert asked.exit_code == 0, asked.output
    assert "Address [https://shop.example]" in asked.stderr
    assert "API key (Enter keeps the stored one)" in asked.stderr
    assert "Orders a page [7]" in asked.stderr
    shown = migrated.json("connections", "show", connection)
    assert shown["config"] == {"base_url": "https://shop.example", "page_size": 9}
    store = Store.open(Settings.load(home=home))
    assert store.connection_by_id(connection).secrets["api_key"].get_secret_value() == "key-4711"
    store.close()
    nothing = migrated("connections", "update", connection, input="\n\n\n")
    assert (nothing.exit_code, "nothing was changed" in nothing.stderr) == (1, True)


def test_an_update_says_whether_the_connection_runs_again(migrated: Cli, home: Path, connection: str) -> None:
    store = Store.open(Settings.load(home=home))
    store.set_connection_state(connection, ConnectionState.NEEDS_CREDENTIALS, "401 from the shop")
    store.close()
    still = f"; it still waits for new credentials (401 from the shop); to let it run as it is: {RESUME} {connection}\n"
    assert migrated.ok("connections", "update", connection, "--label", "Shop") == f"{connection} updated{still}"
    assert migrated.ok("connections", "test", connection) == f"Shop works{still}"
    assert migrated.json("connections", "list")[0]["state"] == "needs_credentials"
    words = ("connections", "update", connection, "--secret-from-env", "api_key=SHOP_KEY")
    again = "; it is active again, and the jobs that waited for it go on\n"
    assert migrated.ok(*words) == f"{connection} updated{again}"
    assert migrated.json("connections", "list")[0]["state"] == "active"
    assert migrated.ok(*words) == f"{connection} updated\n"
    migrated.ok("connections", "pause", connection, "--reason", "holidays")
    paused = f"; it is still paused (holidays); to let it run as it is: {RESUME} {connection}\n"
    assert migrated.ok(*words) == f"{connection} updated{paused}"
    assert migrated.json("connections", "list")[0]["stateReason"] == "holidays"


def test_a_new_webhook_url_replaces_the_old_one(migrated: Cli, home: Path, connection: str) -> None:
    first = migrated.json("connections", "rotate-webhook", connection)["webhookUrl"]
    second = migrated.json("connections", "rotate-webhook", connection)["webhookUrl"]
    store = Store.open(Settings.load(home=home))
    assert store.connection_by_webhook_token("shop", first.rpartition("/")[2]) is None
    assert store.connection_by_webhook_token("shop", second.rpartition("/")[2]) is not None
    store.close()


def test_rotating_the_key_keeps_the_credentials_readable(migrated: Cli, home: Path, connection: str) -> None:
    keys = home / "keys" / "encryption.keys"
    before = keys.read_text().split()
    assert "1 connections" in migrated.ok("keys", "rotate")
    assert keys.read_text().split()[1:] == before
    keys.write_text(keys.read_text().split()[0] + "\n")
    assert migrated.ok("connections", "test", connection) == "Shop works\n"


def test_credentials_whose_key_is_lost_are_stored_anew(migrated: Cli, home: Path, connection: str) -> None:
    (home / "keys" / "encryption.keys").write_text(Fernet.generate_key().decode() + "\n")
    words = ("connections", "update", connection)
    lost = migrated(*words, "--set", "page_size=7")
    assert (lost.exit_code, "store the credentials anew" in lost.stderr) == (1, True)
    asked = migrated(*words, input="\nkey-4712\n\n")
    assert (asked.exit_code, "keeps the stored one" in asked.stderr) == (0, False), asked.output
    assert migrated.ok("connections", "test", connection) == "Shop works\n"

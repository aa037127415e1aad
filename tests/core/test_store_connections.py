"""Connections: their credentials at rest, their webhook tokens, their states."""

from __future__ import annotations

import hashlib
import traceback
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, HttpUrl, SecretStr
from sqlalchemy import text

from flowzz.errors import ConfigurationError, InvalidRequest, NotFound
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz.store.sealing import seal, unseal

SECRET = "tok-PLAINTEXT-4711"


class Account(BaseModel):
    base_url: HttpUrl
    token: SecretStr
    pages: int = 5


def connect(store: Store, *, plugin: str = "coinzz", label: str = "Main", **config: Any) -> tuple[Connection, str]:
    company = store.add_company("Loja Azul")
    config = config or {"base_url": HttpUrl("http://upstream.test/"), "pages": 7}
    return store.add_connection(company.id, plugin, label, config, {"token": SecretStr(SECRET)})


def stored(store: Store, connection_id: str) -> dict[str, Any]:
    with store.session() as session:
        query = text("SELECT * FROM flowzz_connections WHERE id = :id")
        return dict(session.execute(query, {"id": connection_id}).mappings().one())


def test_refused_credentials_pause_an_active_connection_unless_it_was_changed_since(store: Store) -> None:
    made, _ = connect(store)
    before = made.updated_at - timedelta(seconds=1)
    assert not store.need_credentials(made.id, "401", as_of=before)
    assert store.need_credentials(made.id, "401", as_of=made.updated_at)
    refused = store.connection_by_id(made.id)
    assert (refused.state, refused.state_reason) == (ConnectionState.NEEDS_CREDENTIALS, "401")
    store.set_connection_state(made.id, ConnectionState.PAUSED, "month end")
    later = store.connection_by_id(made.id).updated_at + timedelta(seconds=1)
    assert not store.need_credentials(made.id, "401", as_of=later)
    assert store.connection_by_id(made.id).state is ConnectionState.PAUSED


def test_a_connection_comes_back_as_the_plugins_own_model(store: Store) -> None:
    made, _ = connect(store)
    found = store.connection(made.company_id, "coinzz")
    assert found == made == store.connection_by_id(made.id)
    account = found.configured(Account)
    assert account.token.get_secret_value() == SECRET
    assert str(account.base_url) == "http://upstream.test/"
    assert account.pages == 7
    assert (found.state, found.state_reason) == (ConnectionState.ACTIVE, None)


def test_nothing_secret_is_stored_readably(store: Store) -> None:
    made, token = connect(store)
    row = stored(store, made.id)
    assert SECRET not in str(row)
    assert token not in str(row)
    assert token.partition(".")[2] not in str(row)
    assert row["token_digest"] == hashlib.sha256(token.encode()).hexdigest()


def test_nothing_secret_is_printed_or_raised(store: Store) -> None:
    made, _ = connect(store)
    made.secrets["token"]
    shown = [
        repr(made),
        str(made),
        repr(made.secrets),
        str(dict(made.secrets)),
        repr(store),
        repr(made.configured(Account)),
    ]
    assert SECRET not in " ".join(shown)
    with store.session() as session:
        session.execute(text("ALTER TABLE flowzz_connections RENAME TO gone"))
    with pytest.raises(Exception, match="flowzz_connections") as caught:
        store.update_connection(made.id, config={"note": SECRET}, secrets={"token": SecretStr(SECRET)})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_failed_statement_does_not_show_its_parameters(store: Store) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught, store.session() as session:
        session.execute(text("INSERT INTO no_such_table VALUES (:value)"), {"value": SECRET})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_credentials_copied_to_another_row_do_not_open(store: Store) -> None:
    first, _ = connect(store)
    second, _ = connect(store)
    with store.session() as session:
        session.execute(
            text("UPDATE flowzz_connections SET sealed_secrets = :token WHERE id = :id"),
            {"token": stored_token(store, first), "id": second.id},
        )
    with pytest.raises(ConfigurationError, match=second.id) as caught:
        store.connection_by_id(second.id).configured(Account)
    assert SECRET not in str(caught.value)


def stored_token(store: Store, connection: Connection) -> str:
    return seal(store._cipher, connection.id, {"token": SecretStr(SECRET)})


def test_one_connection_that_cannot_be_decrypted_fails_alone(store: Store) -> None:
    good, _ = connect(store)
    bad, _ = connect(store)
    with store.session() as session:
        query = text("UPDATE flowzz_connections SET sealed_secrets = 'garbage' WHERE id = :id")
        session.execute(query, {"id": bad.id})
    listed = {one.id: one for one in store.connections("coinzz")}
    assert listed[good.id].configured(Account).token.get_secret_value() == SECRET
    with pytest.raises(ConfigurationError, match=bad.id):
        listed[bad.id].configured(Account)
    with pytest.raises(ConfigurationError, match=bad.id):
        store.reencrypt()


def test_secrets_move_to_the_newest_key(store: Store, store_settings: Settings) -> None:
    made, _ = connect(store)
    connect(store)
    old = (store_settings.data_folder / "keys" / "encryption.keys").read_text().strip()
    new = Fernet.generate_key().decode()
    both = store_settings.model_copy(update={"encryption_keys": SecretStr(f"{new},{old}")})
    rotating = Store.open(both)
    assert rotating.reencrypt() == 2
    assert rotating.connection_by_id(made.id).configured(Account).token.get_secret_value() == SECRET
    rotating.close()
    alone = Store.open(store_settings.model_copy(update={"encryption_keys": SecretStr(new)}))
    assert alone.connection_by_id(made.id).configured(Account).token.get_secret_value() == SECRET
    alone.close()
    with pytest.raises(ConfigurationError):
        store.connection_by_id(made.id).configured(Account)


@given(
    secrets=st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5), connection_id=st.uuids().map(str)
)
def test_what_is_sealed_opens_again_only_for_its_connection(secrets: dict[str, str], connection_id: str) -> None:
    cipher = MultiFernet([Fernet(Fernet.generate_key())])
    token = seal(cipher, connection_id, {name: SecretStr(value) for name, value in secrets.items()})
    opened = unseal(cipher, connection_id, token)
    assert {name: value.get_secret_value() for name, value in opened.items()} == secrets
    with pytest.raises(ConfigurationError):
        unseal(cipher, f"{connection_id}x", token)
    with pytest.raises(ConfigurationError):
        unseal(MultiFernet([Fernet(Fernet.generate_key())]), connection_id, token)


def test_the_right_webhook_token_finds_its_connection(store: Store) -> None:
    made, token = connect(store)
    connect(store)
    assert token.startswith(f"{made.id}.")
    assert store.connection_by_webhook_token("coinzz", token) == made


def test_a_paused_connection_still_takes_its_webhooks(store: Store) -> None:
    made, token = connect(store)
    store.set_connection_state(made.id, ConnectionState.PAUSED, "holiday")
    found = store.connection_by_webhook_token("coinzz", token)
    assert found is not None
    assert (found.state, found.state_reason) == (ConnectionState.PAUSED, "holiday")


def test_a_wrong_webhook_token_finds_nothing(store: Store) -> None:
    made, token = connect(store)
    other, other_token = connect(store)
    secret = token.partition(".")[2]
    wrong = [
        "",
        ".",
        secret,
        made.id,
        f"{made.id}.",
        token[:-1],
        token + "x",
        f"{other.id}.{secret}",
        f"00000000-0000-0000-0000-000000000000.{secret}",
        f"{made.id}.{other_token.partition('.')[2]}",
        f"{made.id}\x00.{secret}",
        f"{token}\x00",
        "\ud800.é",
        "x" * 10_000,
    ]
    assert [store.connection_by_webhook_token("coinzz", one) for one in wrong] == [None] * len(wrong)
    assert store.connection_by_webhook_token("facebook", token) is None


def test_a_rotated_webhook_token_replaces_the_old_one(store: Store) -> None:
    made, old = connect(store)
    new = store.rotate_webhook_token(made.id)
    assert store.connection_by_webhook_token("coinzz", old) is None
    found = store.connection_by_webhook_token("coinzz", new)
    assert found is not None
    assert found.id == made.id
    with pytest.raises(NotFound):
        store.rotate_webhook_token("nobody")


def test_new_credentials_wake_a_connection_that_needed_them(store: Store) -> None:
    made, _ = connect(store)
    store.set_connection_state(made.id, ConnectionState.NEEDS_CREDENTIALS, "401 \x00 Unauthorized" + "x" * 5000)
    stopped = store.connection_by_id(made.id)
    assert stopped.state is ConnectionState.NEEDS_CREDENTIALS
    assert stopped.state_reason is not None
    assert len(stopped.state_reason) == 2000
    assert store.connections("coinzz") == []
    assert store.connections("coinzz", active_only=False) == [stopped]
    renewed = store.update_connection(made.id, secrets={"token": SecretStr("fresh")})
    assert (renewed.state, renewed.state_reason) == (ConnectionState.ACTIVE, None)
    assert renewed.configured(Account).token.get_secret_value() == "fresh"
    assert renewed.updated_at > stopped.updated_at
    assert store.connections("coinzz") == [renewed]


def test_a_connection_that_a_person_paused_stays_paused(store: Store) -> None:
    made, _ = connect(store)
    store.set_connection_state(made.id, ConnectionState.PAUSED, "holiday")
    updated = store.update_connection(made.id, secrets={"token": SecretStr("fresh")})
    assert (updated.state, updated.state_reason) == (ConnectionState.PAUSED, "holiday")


def test_an_update_changes_only_what_it_names(store: Store) -> None:
    made, _ = connect(store)
    renamed = store.update_connection(made.id, label="Second")
    assert (renamed.label, renamed.config, renamed.secrets) == ("Second", made.config, made.secrets)
    changed = store.update_connection(made.id, config={"base_url": "http://other.test/"})
    assert changed.config == {"base_url": "http://other.test/"}
    assert changed.secrets == made.secrets


def test_a_company_may_have_several_and_the_oldest_comes_first(store: Store) -> None:
    company = store.add_company("Loja")
    made = [store.add_connection(company.id, "coinzz", f"Shop {n}", {}, {})[0] for n in range(3)]
    facebook, _ = store.add_connection(company.id, "facebook", "Ads", {}, {})
    assert store.connection(company.id, "coinzz") == made[0]
    assert store.connections("coinzz") == made
    assert store.all_connections() == [*made, facebook]
    store.remove_connection(made[0].id)
    assert store.connection(company.id, "coinzz") == made[1]


def test_what_is_not_stored_is_not_found(store: Store) -> None:
    company = store.add_company("Loja")
    for unknown in ("nobody", "a\x00b", ""):
        with pytest.raises(NotFound):
            store.connection_by_id(unknown)
        with pytest.raises(NotFound):
            store.remove_connection(unknown)
        with pytest.raises(NotFound):
            store.update_connection(unknown, label="x")
        with pytest.raises(NotFound):
            store.set_connection_state(unknown, ConnectionState.ACTIVE, None)
        with pytest.raises(NotFound):
            store.connection(unknown, "coinzz")
        with pytest.raises(NotFound):
            store.add_connection(unknown, "coinzz", "Main", {}, {})
    with pytest.raises(NotFound, match="coinzz"):
        store.connection(company.id, "coinzz")


def test_config_is_plain_json_and_never_a_secret(store: Store) -> None:
    made, _ = connect(store, price=Decimal("1.50"), flags=[True, None], url=HttpUrl("http://a.test/"))
    assert store.connection_by_id(made.id).config == {"price": "1.50", "flags": [True, None], "url": "http://a.test/"}
    with pytest.raises(InvalidRequest, match="'token' is a secret"):
        connect(store, token=SecretStr(SECRET))
    with pytest.raises(InvalidRequest, match="'odd'"):
        connect(store, odd=object())
    with pytest.raises(InvalidRequest, match="connection label"):
        connect(store, label=" ")
    with pytest.raises(InvalidRequest, match="plugin name"):
        connect(store, plugin="Coin zz")
    assert len(store.all_connections()) == 1

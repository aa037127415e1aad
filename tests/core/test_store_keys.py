"""The keys of an installation: made once, kept private, refused when guessable."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from flowzz.errors import ConfigurationError
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz.store.keys import load_keys
from support.store_racers import keys_of, race


def at(home: Path, **settings: object) -> Settings:
    return Settings.load(home=home, **settings)


def test_keys_are_made_on_first_use_and_kept(home: Path) -> None:
    first, second = load_keys(at(home)), load_keys(at(home))
    assert first.signing_key == second.signing_key
    assert len(first.signing_key.get_secret_value()) >= 32
    assert second.cipher.decrypt(first.cipher.encrypt(b"x")) == b"x"


def test_made_keys_are_private_and_enough_for_production(home: Path) -> None:
    load_keys(at(home, environment="production"))
    folder = home / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        ".lock": 0o600,
        "signing.key": 0o600,
        "encryption.keys": 0o600,
    }


def test_two_homes_have_different_keys(tmp_path: Path) -> None:
    first, second = load_keys(at(tmp_path / "a")), load_keys(at(tmp_path / "b"))
    assert first.signing_key != second.signing_key
    with pytest.raises(InvalidToken):
        second.cipher.decrypt(first.cipher.encrypt(b"x"))


def test_processes_that_start_together_agree(home: Path) -> None:
    assert len(set(race(keys_of, home, processes=4))) == 1
    assert sorted(path.name for path in (home / "keys").iterdir()) == [".lock", "encryption.keys", "signing.key"]


def test_keys_of_the_environment_win(home: Path) -> None:
    signing, fernet = secrets.token_urlsafe(48), Fernet.generate_key().decode()
    keys = load_keys(at(home, environment="production", secret_key=signing, encryption_keys=fernet))
    assert keys.signing_key.get_secret_value() == signing
    assert Fernet(fernet).decrypt(keys.cipher.encrypt(b"x")) == b"x"
    assert not (home / "keys").exists()


def test_the_first_encryption_key_writes_and_all_read(home: Path) -> None:
    new, old = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    keys = load_keys(at(home, encryption_keys=f" {new}, {old},\n"))
    assert Fernet(new).decrypt(keys.cipher.encrypt(b"x")) == b"x"
    assert keys.cipher.decrypt(Fernet(old).encrypt(b"y")) == b"y"


GUESSABLE = [
    "short",
    "changeme",
    "secret",
    "x" * 64,
    "ab" * 32,
    "secret" * 8,
    "changeme-changeme-changeme-changeme",
    "please-change-this-secret-key-in-production",
    "your-secret-key-your-secret-key-your",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "12345678901234567890123456789012",
    "0123456789abcdef0123456789abcdef",
    " " * 40,
]


@pytest.mark.parametrize("key", GUESSABLE)
def test_a_guessable_signing_key_is_refused_in_production_only(home: Path, key: str) -> None:
    with pytest.raises(ConfigurationError, match="FLOWZZ_SECRET_KEY") as caught:
        Store.open(at(home, environment="production", secret_key=key))
    assert key not in str(caught.value).replace("secrets", "")
    assert load_keys(at(home, secret_key=key)).signing_key.get_secret_value() == key


@pytest.mark.parametrize(
    "make", [lambda: secrets.token_hex(16), lambda: secrets.token_urlsafe(24), lambda: secrets.token_hex(64)]
)
def test_random_keys_are_accepted(home: Path, make: object) -> None:
    assert callable(make)
    for _ in range(500):
        load_keys(at(home, environment="production", secret_key=make(), encryption_keys=Fernet.generate_key().decode()))


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize("bad", ["", " , ", "not-a-key-4711", "AAAA", "é" * 44, "\ud800"])
def test_a_wrong_encryption_key_is_named_and_not_shown(home: Path, bad: str, environment: str) -> None:
    good = Fernet.generate_key().decode()
    given = f"{good},{bad}" if bad.strip(" ,") else bad
    with pytest.raises(ConfigurationError, match="FLOWZZ_ENCRYPTION_KEYS") as caught:
        load_keys(at(home, environment=environment, encryption_keys=given))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert good not in str(caught.value)
    assert not bad.strip(" ,") or bad not in str(caught.value)


def test_an_obvious_encryption_key_is_refused_in_production(home: Path) -> None:
    zeros = base64.urlsafe_b64encode(bytes(32)).decode()
    with pytest.raises(ConfigurationError, match="FLOWZZ_ENCRYPTION_KEYS"):
        load_keys(at(home, environment="production", encryption_keys=zeros))
    load_keys(at(home, encryption_keys=zeros))


@pytest.mark.parametrize("name", ["signing.key", "encryption.keys"])
def test_a_damaged_or_readable_key_file_is_refused(home: Path, name: str) -> None:
    load_keys(at(home))
    file = home / "keys" / name
    kept = file.read_text()
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_keys(at(home))
    file.chmod(0o600)
    for damage in (b"", b"abc", b"\xff\xfe"):
        file.write_bytes(damage)
        with pytest.raises(ConfigurationError, match=name):
            load_keys(at(home))
    file.write_text(kept)
    load_keys(at(home))


def test_keys_do_not_print(home: Path) -> None:
    keys = load_keys(at(home))
    signing, encryption = ((home / "keys" / name).read_text().strip() for name in ("signing.key", "encryption.keys"))
    assert signing not in repr(keys) + str(keys)
    assert encryption not in repr(keys) + str(keys)
    assert isinstance(keys.signing_key, SecretStr)

"""Settings: read once from the environment, refused with a message that names the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowzz.errors import ConfigurationError
from flowzz.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "DATABASE_URL", "PORT"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"FLOWZZ_{name}", raising=False)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"REDIS_URL": "redis://a:1/2"}, "redis://a:1/2"),
        ({"REDIS_URL": "redis://a:1/2", "REDIS_HOST": "b"}, "redis://a:1/2"),
        ({"FLOWZZ_REDIS_URL": "redis://ours:1/0", "REDIS_URL": "redis://a:1/2"}, "redis://ours:1/0"),
        ({"REDIS_HOST": "b"}, "redis://b:6379/0"),
        ({"REDIS_HOST": "b", "REDIS_PORT": "7"}, "redis://b:7/0"),
        ({"REDIS_HOST": "b", "REDIS_PASSWORD": "p@ss/word"}, "redis://:p%40ss%2Fword@b:6379/0"),
        ({}, None),
    ],
)
def test_where_redis_is(
    environment: dict[str, str], url: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load(home=home)
    assert settings.resolve_redis_url() == url
    assert settings.uses_bundled_redis == (url is None)


def test_the_home_is_absolute_and_knows_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLOWZZ_HOME", "~/kept")
    assert Settings.load().data_folder == tmp_path / "kept"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"port": 3100}, "http://127.0.0.1:3100"),
        ({"public_url": "https://jobs.example/"}, "https://jobs.example"),
    ],
)
def test_the_address_of_the_web(given: dict[str, object], url: str, home: Path) -> None:
    assert Settings.load(home=home, **given).web_url == url


def test_an_override_wins_and_none_means_not_given(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "4000")
    assert Settings.load(home=home, port=None).port == 4000
    assert Settings.load(home=home, port=5000).port == 5000


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FLOWZZ_CONCURRENCY", "many", "FLOWZZ_CONCURRENCY: .*integer.*got 'many'"),
        ("FLOWZZ_LEASE", "0", "FLOWZZ_LEASE: .*greater than or equal to 1"),
        ("FLOWZZ_WATCHDOG", "1", "FLOWZZ_WATCHDOG: .*greater than or equal to 2"),
        ("FLOWZZ_LOG_LEVEL", "LOUD", "FLOWZZ_LOG_LEVEL: .*'DEBUG'.*got 'LOUD'"),
        ("PORT", "99999", "PORT: .*65535"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said):
        Settings.load()


def test_secrets_do_not_show() -> None:
    settings = Settings.load(
        redis_url="redis://:hidden@h/0",
        database_url="postgresql://u:hidden@h/d",
        secret_key="hidden" * 8,
        admin_password="hidden-hidden",
    )
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings.model_dump())


def test_nothing_changes_it_after_it_is_read(home: Path) -> None:
    settings = Settings.load(home=home)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1

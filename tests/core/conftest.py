"""A store on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowzz.settings import Settings
from flowzz.store import Store


@pytest.fixture
def store_settings(home: Path, database_url: str) -> Settings:
    """Settings that need no Redis, once for SQLite and once for PostgreSQL."""
    return Settings.load(home=home, database_url=database_url)


@pytest.fixture
def store(store_settings: Settings) -> Iterator[Store]:
    """A migrated, empty store, once on SQLite and once on PostgreSQL."""
    opened = Store.open(store_settings)
    opened.migrate()
    yield opened
    opened.close()

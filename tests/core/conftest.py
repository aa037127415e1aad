"""A store on each kind of database, and an application with the probe plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.queues.records import JobRecord
from flowzz.settings import Settings
from flowzz.store import Store
from support.probe import plugin


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


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    """With the probe plugin, migrated; its workers look around every 0.1 s. For another plugin a module has its own."""
    quick = settings.model_copy(update={"heartbeat": 0.1, "sweep": 0.1, "shutdown_grace": 5})
    with Flowzz.open(quick, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def final(app: Flowzz) -> Callable[[str], JobRecord]:
    """What a job has become, once it has ended."""
    return lambda job_id: app.queues.wait(job_id, timedelta(seconds=90))

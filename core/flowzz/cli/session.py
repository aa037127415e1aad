"""What one call of ``flowzz`` works with: the settings, and the doors to the rooms below, opened when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import click
from sqlalchemy.exc import DBAPIError

from flowzz import logs
from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError, QueueUnavailable
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz.supervision import bundled


@dataclass
class Session:
    """``quiet`` keeps the logs of long-running commands off the terminal."""

    quiet: bool = False

    @cached_property
    def settings(self) -> Settings:
        """Read once; raises ConfigurationError."""
        return Settings.load()

    @cached_property
    def plugins(self) -> PluginHost:
        return PluginHost.discover(self.settings)

    def log_as(self, role: str, *, console: bool = False) -> None:
        logs.configure(self.settings, role, console=console and not self.quiet)

    def require_redis(self) -> None:
        """Raises QueueUnavailable when no Redis is configured and the bundled one of this home does not run."""
        if self.settings.uses_bundled_redis and not bundled.is_running(self.settings):
            raise QueueUnavailable(
                f"no Redis is configured, and no bundled one runs for {self.settings.data_folder}; "
                "start it with `flowzz up`, or set REDIS_URL"
            )

    @contextmanager
    def app(self, role: str = "cli", *, console: bool = False) -> Iterator[Flowzz]:
        """An open Flowzz. Raises QueueUnavailable like ``require_redis``."""
        self.log_as(role, console=console)
        self.require_redis()
        with database_errors(), Flowzz.open(self.settings, plugins=self.plugins) as app:
            yield app

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The database alone; Redis need not be there."""
        self.log_as("cli")
        store = Store.open(self.settings)
        try:
            with database_errors():
                yield store
        finally:
            store.close()


pass_session = click.make_pass_decorator(Session)


@contextmanager
def database_errors() -> Iterator[None]:
    """What the database says, as ConfigurationError with the remedy."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig or error).strip().splitlines()[0]
        if "no such table" in said or "does not exist" in said:
            raise ConfigurationError(f"the database is not up to date ({said}); run `flowzz migrate`") from error
        raise ConfigurationError(f"the database cannot be used: {said}; check DATABASE_URL") from error

"""The store: one object for everything Flowzz keeps in its database."""

from __future__ import annotations

from collections.abc import Sequence

from flowzz.settings import Settings
from flowzz.store.database import Sessions, open_engine
from flowzz.store.migrating import MigrationFolder, migrate


class Store(Sessions):
    """The database. One a process, shared by its threads; ``flowzz.jobs.context.StorePort`` is its narrow side."""

    @classmethod
    def open(cls, settings: Settings) -> Store:
        """Open the database of the settings; it migrates nothing and, with PostgreSQL, connects to nothing yet.

        Raises ConfigurationError when DATABASE_URL or a key does not fit.
        """
        return cls(open_engine(settings))

    def migrate(self, extra: Sequence[MigrationFolder] = ()) -> list[str]:
        """Bring the core's tables up to date, then those of each plugin in ``extra``; what ran, in order.

        Safe while other processes do the same. Raises MigrationFailed; see ``flowzz.store.migrating.migrate``.
        """
        return migrate(self.engine, extra)

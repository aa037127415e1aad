"""The store: one object for everything Flowzz keeps in its database."""

from __future__ import annotations

from collections.abc import Sequence

from flowzz.settings import Settings
from flowzz.store.audit import Audit
from flowzz.store.connections import Connections
from flowzz.store.database import open_engine
from flowzz.store.keys import load_keys
from flowzz.store.migrating import MigrationFolder, migrate
from flowzz.store.users import Users


class Store(Connections, Users, Audit):
    """The database. One a process, shared by its threads; ``flowzz.jobs.context.StorePort`` is its narrow side.

    Its parts: ``companies``, ``connections``, ``users`` and ``audit``. Each call is one transaction. A database
    that cannot be reached raises SQLAlchemy's OperationalError, whose text holds neither password nor parameters.
    """

    @classmethod
    def open(cls, settings: Settings) -> Store:
        """Open the database of the settings; it migrates nothing and, with PostgreSQL, connects to nothing yet.

        Raises ConfigurationError when DATABASE_URL or a key does not fit; see ``load_keys``.
        """
        keys = load_keys(settings)
        return cls(open_engine(settings), keys)

    def migrate(self, extra: Sequence[MigrationFolder] = ()) -> list[str]:
        """Bring the core's tables up to date, then those of each plugin in ``extra``; what ran, in order.

        Safe while other processes do the same. Raises MigrationFailed; see ``flowzz.store.migrating.migrate``.
        """
        return migrate(self.engine, extra)

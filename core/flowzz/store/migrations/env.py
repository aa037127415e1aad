"""Alembic's environment, shared by the core and every plugin; ``flowzz.store.migrating`` hands it all it needs."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes

context.configure(
    connection=attributes["connection"],
    version_table=attributes["version_table"],
    on_version_apply=attributes["on_version_apply"],
    # Alembic takes SQLite for unable to roll back DDL; with the explicit BEGIN of ``store.database`` it is able.
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()

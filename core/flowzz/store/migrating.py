"""Bringing the tables up to date: the core's first, then each plugin's, each with a version table of its own."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from flowzz.errors import MigrationFailed
from flowzz.store.database import sqlite_file
from flowzz.store.private_files import exclusive

CORE = "core"
SCRIPTS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x666C6F777A7A
"""The PostgreSQL advisory lock that is held while anybody migrates: "flowzz" in ASCII."""

log = logging.getLogger(__name__)


class MigrationFolder(Protocol):
    """What ``migrate`` needs to know of a plugin; ``flowzz.plugins.contributions.Migrations`` is one."""

    @property
    def plugin(self) -> str: ...

    @property
    def folder(self) -> Path: ...


def migrate(engine: Engine, extra: Sequence[MigrationFolder] = ()) -> list[str]:
    """Run every migration that has not run yet, alone among all processes; "plugin:revision" for each that ran.

    Each migration is one transaction. One process at a time migrates a database; the others wait and then find
    nothing left to do.

    A plugin's failing migration is rolled back and the remaining plugins still get theirs; then MigrationFailed
    is raised, naming what failed and what ran. When the core's own fail nothing else is tried.
    """
    ran: list[str] = []
    failures: dict[str, str] = {}
    with _alone(engine):
        _upgrade_or_note(engine, CORE, SCRIPTS, ran, failures)
        if not failures:
            for item in extra:
                _upgrade_or_note(engine, item.plugin, item.folder, ran, failures)
    if failures:
        raise MigrationFailed(failures, ran)
    return ran


def _upgrade_or_note(engine: Engine, plugin: str, folder: Path, ran: list[str], failures: dict[str, str]) -> None:
    try:
        _upgrade(engine, plugin, folder, ran)
    except Exception as error:  # noqa: BLE001 - a plugin's script may raise anything; all of it is reported
        log.debug("migration of %s failed: %s", plugin, traceback.format_exc())
        failures[plugin] = f"{type(error).__name__}: {error}"


def _upgrade(engine: Engine, plugin: str, folder: Path, ran: list[str]) -> None:
    versions = folder / "versions"
    if not versions.is_dir():
        raise FileNotFoundError(f"expected a folder {versions} with the revisions of {plugin}")
    before = len(ran)
    with _connection(engine) as connection:
        command.upgrade(_config(connection, plugin, versions, ran), "heads")
        if len(ran) > before:
            _refuse_orphans(connection)


def _config(connection: Connection, plugin: str, versions: Path, ran: list[str]) -> Config:
    def applied(*, step: Any, **_: Any) -> None:
        ran.extend(f"{plugin}:{revision}" for revision in step.up_revision_ids)

    config = Config()
    config.set_main_option("script_location", _literal(SCRIPTS))
    config.set_main_option("version_locations", _literal(versions))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(connection=connection, version_table=f"alembic_version_{plugin}", on_version_apply=applied)
    return config


def _literal(path: Path) -> str:
    """The configuration would take a percent sign for the start of a placeholder."""
    return str(path).replace("%", "%%")


@contextmanager
def _connection(engine: Engine) -> Iterator[Connection]:
    """A connection for migrations, closed for good afterwards.

    SQLite cannot alter most of a table; Alembic copies it and drops the old one, and with foreign keys enforced
    that drop would delete the rows that refer to it. So they are off here, and checked after a migration.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.detach()
            with closing(connection.connection.cursor()) as cursor:
                cursor.execute("PRAGMA foreign_keys=OFF")
        yield connection


def _refuse_orphans(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute("PRAGMA foreign_key_check")
        orphans = sorted({row[0] for row in cursor.fetchall()})
    if orphans:
        raise RuntimeError(f"rows without the row they refer to were left in {', '.join(orphans)}")


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    file = sqlite_file(engine)
    if file is not None:
        with exclusive(file.with_name(f"{file.name}.migrate.lock")):
            yield
        return
    # Held by a transaction, not by a session: so it also works through a pooler, and ends with the connection.
    with engine.begin() as holder:
        holder.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        yield

"""Opening the database, sessions of many threads, and migrations of several processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect, text
from sqlalchemy.exc import DBAPIError

from flowzz.errors import ConfigurationError, MigrationFailed
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz.store.tables import CoreTable
from support.store_racers import Folder, migrate, race, write_companies


def revision(folder: Path, name: str, *, after: str | None = None, body: str = "pass") -> None:
    """Write one revision of a plugin."""
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    statements = dedent(body).strip().replace("\n", "\n    ")
    (folder / "versions" / f"{name}.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\n\n"
        f"revision = {name!r}\ndown_revision = {after!r}\nbranch_labels = None\ndepends_on = None\n\n\n"
        f"def upgrade():\n    {statements}\n"
    )


def table_of(name: str) -> str:
    return f"op.create_table({name!r}, sa.Column('id', sa.Text, primary_key=True))"


@pytest.fixture
def fresh(store_settings: Settings) -> Iterator[Store]:
    """A store without tables."""
    opened = Store.open(store_settings)
    yield opened
    opened.close()


def tables(store: Store) -> set[str]:
    return set(inspect(store.engine).get_table_names())


def test_the_default_is_a_private_file_in_a_private_home(home: Path) -> None:
    store = Store.open(Settings.load(home=home))
    store.migrate()
    with store.session() as session:
        session.execute(text("SELECT 1"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in home.glob("flowzz.db*")}
    assert home.stat().st_mode & 0o777 == 0o700
    assert {"flowzz.db", "flowzz.db-wal", "flowzz.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    store.close()


def test_sqlite_runs_with_wal_foreign_keys_and_full_sync(home: Path) -> None:
    store = Store.open(Settings.load(home=home))
    with store.session() as session:
        found = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 15000}
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense pass-word-4711",
        "mysql://root:pass-word-4711@host/db",
        "postgresql+asyncpg://me:pass-word-4711@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "postgresql://me:pass-word-4711@host:notaport/db",
        "",
    ],
)
def test_an_unusable_database_url_is_refused_without_its_password(home: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        Store.open(Settings.load(home=home, database_url=url))
    assert "pass-word-4711" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_home_that_is_no_folder_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file"):
        Store.open(Settings.load(home=tmp_path / "file"))
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(ConfigurationError, match=r"broken\.db"):
        Store.open(Settings.load(home=tmp_path / "home", database_url=f"sqlite:///{broken}"))


def test_ping_tells_whether_the_database_answers(store: Store, home: Path) -> None:
    assert store.ping()
    gone = Settings.load(home=home, database_url=f"postgresql://me:pass-word@/db?host={home}")
    unreachable = Store.open(gone)
    assert not unreachable.ping()
    with pytest.raises(DBAPIError) as caught:
        unreachable.companies()
    assert "pass-word" not in str(caught.value)
    unreachable.close()


def test_many_threads_read_and_write_without_losing_anything(store: Store) -> None:
    with store.session() as session:
        session.execute(text("CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER)"))
        session.execute(text("INSERT INTO counters VALUES (1, 0)"))
    lock = " FOR UPDATE" if store.engine.dialect.name == "postgresql" else ""
    together = Barrier(8)

    def count() -> None:
        together.wait(30)
        for _ in range(20):
            # Reading first and writing after: what fails as "database is locked" with a deferred BEGIN.
            with store.session() as session:
                n = session.execute(text(f"SELECT n FROM counters WHERE id = 1{lock}")).scalar_one()
                session.execute(text("UPDATE counters SET n = :n WHERE id = 1"), {"n": n + 1})

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(count) for _ in range(8)]:
            done.result()
    with store.session() as session:
        assert session.execute(text("SELECT n FROM counters")).scalar_one() == 160


def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    company = store.add_company("Loja")
    with store.session() as session:
        session.execute(text("UPDATE flowzz_companies SET name = 'New'"))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(store.companies).result(timeout=60) == [company]
    assert store.company(company.id).name == "New"


def test_migrating_makes_the_tables_once(fresh: Store) -> None:
    assert fresh.migrate() == ["core:core_0001", "core:core_0002"]
    assert fresh.migrate() == []
    assert tables(fresh) == {*CoreTable.metadata.tables, "alembic_version_core"}


def test_the_migrations_make_exactly_what_the_models_say(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "alembic_version_core"})
        assert compare_metadata(context, CoreTable.metadata) == []


def test_a_plugin_brings_a_folder_with_versions(fresh: Store, tmp_path: Path) -> None:
    folder = tmp_path / "50% done, a:b"
    demo = Folder("demo", folder)
    body = "op.create_table('demo_orders', sa.Column('c', sa.Text, sa.ForeignKey('flowzz_companies.id')))"
    revision(folder, "demo_0001", body=body)
    assert fresh.migrate([demo]) == ["core:core_0001", "core:core_0002", "demo:demo_0001"]
    revision(folder, "demo_0002", after="demo_0001", body=table_of("demo_events"))
    assert fresh.migrate([demo]) == ["demo:demo_0002"]
    assert {"demo_orders", "demo_events", "alembic_version_demo"} <= tables(fresh)


def test_a_failing_migration_is_rolled_back_and_stops_no_other_plugin(fresh: Store, tmp_path: Path) -> None:
    revision(tmp_path / "a", "a_0001", body=table_of("a_kept"))
    revision(tmp_path / "a", "a_0002", after="a_0001", body=table_of("a_half") + "\nraise KeyError('boom')")
    revision(tmp_path / "b", "b_0001", body=table_of("b_all"))
    plugins = [Folder("a", tmp_path / "a"), Folder("missing", tmp_path / "missing"), Folder("b", tmp_path / "b")]
    with pytest.raises(MigrationFailed, match="boom") as caught:
        fresh.migrate(plugins)
    assert set(caught.value.failures) == {"a", "missing"}
    assert caught.value.ran == ["core:core_0001", "core:core_0002", "a:a_0001", "b:b_0001"]
    assert {"a_kept", "b_all"} <= tables(fresh)
    assert "a_half" not in tables(fresh)
    revision(tmp_path / "a", "a_0002", after="a_0001", body=table_of("a_half"))
    assert fresh.migrate([plugins[0]]) == ["a:a_0002"]


def test_a_database_of_a_newer_version_is_refused(store: Store) -> None:
    with store.session() as session:
        session.execute(text("UPDATE alembic_version_core SET version_num = 'core_9999'"))
    with pytest.raises(MigrationFailed, match="core_9999"):
        store.migrate()


def test_copying_a_table_keeps_the_rows_that_refer_to_it(store: Store, tmp_path: Path) -> None:
    company = store.add_company("Loja")
    made, _ = store.add_connection(company.id, "coinzz", "Main", {}, {})
    revision(
        tmp_path,
        "demo_0001",
        body="""
            with op.batch_alter_table('flowzz_companies') as batch:
                batch.alter_column('name', existing_type=sa.Text, nullable=True)
        """,
    )
    store.migrate([Folder("demo", tmp_path)])
    assert store.all_connections() == [made]
    store.remove_company(company.id)
    assert store.all_connections() == []


def test_a_migration_that_leaves_orphans_is_reported(home: Path, tmp_path: Path) -> None:
    store = Store.open(Settings.load(home=home))
    body = """
        op.execute("CREATE TABLE demo_x (c TEXT REFERENCES flowzz_companies (id))")
        op.execute("INSERT INTO demo_x VALUES ('nobody')")
    """
    revision(tmp_path, "demo_0001", body=body)
    with pytest.raises(MigrationFailed, match="demo_x"):
        store.migrate([Folder("demo", tmp_path)])
    store.close()


def test_processes_that_migrate_together_do_it_once(store_settings: Settings, tmp_path: Path) -> None:
    demo = Folder("demo", tmp_path / "demo")
    for number in range(1, 6):
        after = f"demo_{number - 1:04}" if number > 1 else None
        revision(demo.folder, f"demo_{number:04}", after=after, body=table_of(f"demo_{number}"))
    ran = sorted(race(migrate, store_settings, demo, processes=3))
    assert ran == [[], [], ["core:core_0001", "core:core_0002", *(f"demo:demo_{number:04}" for number in range(1, 6))]]


def test_a_snapshot_sees_one_moment_keeps_no_writer_waiting_and_writes_nothing(store: Store) -> None:
    store.migrate()
    store.add_company("Before")
    count = text("SELECT count(*) FROM flowzz_companies")
    with store.snapshot() as session:
        assert session.scalar(count) == 1
        store.add_company("Meanwhile")
        assert session.scalar(count) == 1
    with store.snapshot() as session:
        assert session.scalar(count) == 2


def test_a_snapshot_may_keep_rows_in_a_temporary_table(store: Store) -> None:
    store.add_company("Before")
    with store.snapshot(temporary=True) as session:
        session.execute(text("CREATE TEMPORARY TABLE kept AS SELECT name FROM flowzz_companies"))
        store.add_company("Meanwhile")
        assert session.scalars(text("SELECT name FROM kept")).all() == ["Before"]
        assert session.scalar(text("SELECT count(*) FROM flowzz_companies")) == 1
        session.rollback()
    with store.snapshot(temporary=True) as session, pytest.raises(DBAPIError):
        session.execute(text("SELECT name FROM kept"))
    store.add_company("After")  # the connection is as it was


def test_processes_share_one_new_sqlite_file(home: Path) -> None:
    assert race(write_companies, home, 50, processes=3) == [50, 50, 50]
    store = Store.open(Settings.load(home=home))
    assert len(store.companies()) == 150
    store.close()
    with closing(sqlite3.connect(home / "flowzz.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_threads_of_a_process_take_turns_before_they_meet_at_sqlites_lock(home: Path) -> None:
    """SQLite waits for its lock by sleeping, so a thread must not even get there while another one writes."""
    store = Store.open(Settings.load(home=home))
    store.migrate()
    event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
    store.engine.dispose()
    together = Barrier(8)

    def write(place: int) -> None:
        together.wait()
        for number in range(20):
            store.add_company(f"company {place}-{number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert len(store.companies()) == 160
    store.close()

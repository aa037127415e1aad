"""Companies: added, listed, removed with what belongs to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import SecretStr
from sqlalchemy import column, insert, select, table, text

from flowzz.errors import InvalidRequest, NotFound
from flowzz.store import Store, UtcDateTime


def test_a_company_is_stored_with_an_id_and_an_aware_time(store: Store) -> None:
    before = datetime.now(UTC)
    company = store.add_company("  Loja Azul ")
    assert company.name == "Loja Azul"
    assert before <= company.created_at <= datetime.now(UTC)
    assert store.company(company.id) == company
    assert store.company(company.id).created_at.tzinfo is UTC


def test_a_company_may_bring_its_own_id_once(store: Store) -> None:
    assert store.add_company("Loja", "loja-1").id == "loja-1"
    with pytest.raises(InvalidRequest, match="loja-1"):
        store.add_company("Other", "loja-1")
    assert [company.name for company in store.companies()] == ["Loja"]


def test_companies_are_listed_by_name(store: Store) -> None:
    for name in ("C", "A", "B"):
        store.add_company(name)
    assert [company.name for company in store.companies()] == ["A", "B", "C"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\x00b", "a\nb"])
def test_an_unusable_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidRequest, match="company name"):
        store.add_company(name)


@pytest.mark.parametrize("company_id", ["", "a b", "a/b", "a\x00", "ç", "x" * 101, "a\n"])
def test_an_unusable_id_is_refused_and_never_found(store: Store, company_id: str) -> None:
    with pytest.raises(InvalidRequest, match="company id"):
        store.add_company("Loja", company_id)
    with pytest.raises(NotFound):
        store.company(company_id)


def test_removing_a_company_removes_its_connections(store: Store) -> None:
    company = store.add_company("Loja")
    other = store.add_company("Other")
    store.add_connection(company.id, "coinzz", "Main", {}, {"token": SecretStr("t")})
    kept, _ = store.add_connection(other.id, "coinzz", "Main", {}, {"token": SecretStr("t")})
    store.remove_company(company.id)
    with pytest.raises(NotFound, match=company.id):
        store.company(company.id)
    assert store.all_connections() == [kept]
    with pytest.raises(NotFound):
        store.remove_company(company.id)


def test_a_company_with_data_of_a_plugin_stays(store: Store) -> None:
    company = store.add_company("Loja")
    with store.session() as session:
        session.execute(text("CREATE TABLE demo_rows (company_id TEXT REFERENCES flowzz_companies (id))"))
        session.execute(text("INSERT INTO demo_rows VALUES (:id)"), {"id": company.id})
    with pytest.raises(InvalidRequest, match="plugin"):
        store.remove_company(company.id)
    assert store.companies() == [company]


def test_a_session_commits_at_its_end_and_rolls_back_when_it_raises(store: Store) -> None:
    with store.session() as session:
        session.execute(text("INSERT INTO flowzz_companies VALUES ('a', 'A', '2026-01-01 00:00:00.000000')"))
    with pytest.raises(ZeroDivisionError), store.session() as session:
        _fail_after(
            session.execute(text("INSERT INTO flowzz_companies SELECT 'b', name, created_at FROM flowzz_companies"))
        )
    assert [company.id for company in store.companies()] == ["a"]


def test_times_come_back_aware_and_sort_by_moment(store: Store) -> None:
    rows = table("moments", column("at", UtcDateTime))
    kind = "TIMESTAMPTZ" if store.engine.dialect.name == "postgresql" else "DATETIME"
    noon = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
    moments = [noon.astimezone(timezone(timedelta(hours=-3))), noon - timedelta(microseconds=1), None]
    with store.session() as session:
        session.execute(text(f"CREATE TABLE moments (at {kind})"))
        session.execute(insert(rows), [{"at": moment} for moment in moments])
    with store.session() as session:
        found = session.scalars(select(rows.c.at).order_by(rows.c.at)).all()
    assert sorted(moment for moment in found if moment) == [noon - timedelta(microseconds=1), noon]
    assert [moment for moment in found if moment] == [noon - timedelta(microseconds=1), noon]
    assert all(moment.tzinfo is UTC for moment in found if moment)
    with pytest.raises(Exception, match="aware"), store.session() as session:
        session.execute(insert(rows), [{"at": noon.replace(tzinfo=None)}])


def _fail_after(_: object) -> None:
    raise ZeroDivisionError

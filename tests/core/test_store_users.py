"""Users: password rules, the stored form, logging in; and the audit trail."""

from __future__ import annotations

import base64
import time
import traceback
from unicodedata import normalize

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from flowzz.errors import InvalidRequest, NotFound
from flowzz.store import Role, Store
from flowzz.store.passwords import COST, Cost, hashed, is_outdated, matches

PASSWORD = SecretStr("correct horse battery")
WRONG = SecretStr("correct horse batterY")


def stored_password(store: Store, user_id: str) -> str:
    with store.session() as session:
        found: str = session.execute(
            text("SELECT password FROM flowzz_users WHERE id = :id"), {"id": user_id}
        ).scalar_one()
        return found


def test_a_user_logs_in_with_the_right_password_only(store: Store) -> None:
    made = store.add_user(" Ana@Example.COM ", PASSWORD, Role.OPERATOR)
    assert (made.email, made.role, made.is_active) == ("ana@example.com", Role.OPERATOR, True)
    assert store.authenticate("ANA@example.com", PASSWORD) == made
    assert store.authenticate("ana@example.com", WRONG) is None
    assert store.authenticate("ana@example.com", SecretStr("")) is None
    assert store.authenticate("bob@example.com", PASSWORD) is None
    assert store.authenticate("ana@example.com\x00", PASSWORD) is None
    assert store.authenticate("ana@example.com", SecretStr("\ud800")) is None


def test_an_inactive_user_does_not_log_in(store: Store) -> None:
    made = store.add_user("ana@example.com", PASSWORD, Role.ADMIN)
    store.set_user_active(made.id, False)
    assert store.authenticate(made.email, PASSWORD) is None
    found = store.user(made.id)
    assert found is not None
    assert not found.is_active
    store.set_user_active(made.id, True)
    assert store.authenticate(made.email, PASSWORD) == made
    with pytest.raises(NotFound):
        store.set_user_active("nobody", True)


def test_users_are_found_by_id_and_address(store: Store) -> None:
    bob = store.add_user("bob@example.com", PASSWORD, Role.VIEWER)
    ana = store.add_user("ana@flowzz.local", PASSWORD, Role.ADMIN)
    assert store.users() == [ana, bob]
    assert store.user(bob.id) == bob
    assert store.user_by_email("Bob@Example.com") == bob
    assert store.user("nobody") is None
    assert store.user("a\x00") is None
    assert store.user_by_email("carl@example.com") is None
    assert store.user_by_email("nonsense") is None
    assert [role.wire for role in Role] == ["ADMIN", "OPERATOR", "VIEWER"]


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ana",
        "@example.com",
        "ana@",
        "a b@example.com",
        "ana@exa mple.com",
        "a@b@c",
        "a\x00@b.com",
        "a@" + "x" * 300,
    ],
)
def test_something_that_is_no_address_is_refused(store: Store, email: str) -> None:
    with pytest.raises(InvalidRequest, match="e-mail"):
        store.add_user(email, PASSWORD, Role.VIEWER)


def test_an_address_is_taken_once_in_whatever_case(store: Store) -> None:
    store.add_user("ana@example.com", PASSWORD, Role.VIEWER)
    with pytest.raises(InvalidRequest, match=r"ana@example\.com"):
        store.add_user("ANA@example.com", PASSWORD, Role.VIEWER)
    assert len(store.users()) == 1


@pytest.mark.parametrize(
    "password", ["", "eleven char", "aaaaaaaaaaaaaaaaaaaa", "abababababab", "long.name@example.com", "x1Y2" * 300]
)
def test_a_weak_password_is_refused_and_never_repeated(store: Store, password: str) -> None:
    with pytest.raises(InvalidRequest, match="password") as caught:
        store.add_user("long.name@example.com", SecretStr(password), Role.VIEWER)
    assert not password or password not in "".join(traceback.format_exception_only(caught.value))
    assert store.users() == []


def test_twelve_characters_are_enough(store: Store) -> None:
    store.add_user("ana@example.com", SecretStr("twelve chars"), Role.VIEWER)
    assert store.authenticate("ana@example.com", SecretStr("twelve chars")) is not None


def test_a_password_can_be_replaced(store: Store) -> None:
    made = store.add_user("ana@example.com", PASSWORD, Role.VIEWER)
    store.set_password(made.id, SecretStr("another long one"))
    assert store.authenticate(made.email, PASSWORD) is None
    assert store.authenticate(made.email, SecretStr("another long one")) == made
    with pytest.raises(InvalidRequest):
        store.set_password(made.id, SecretStr("short"))
    with pytest.raises(NotFound):
        store.set_password("nobody", PASSWORD)


def test_a_password_stored_with_other_parameters_is_renewed_at_login(store: Store) -> None:
    made = store.add_user("ana@example.com", PASSWORD, Role.VIEWER)
    old = hashed(PASSWORD, Cost(n=2**10, r=8, p=1))
    with store.session() as session:
        session.execute(text("UPDATE flowzz_users SET password = :old"), {"old": old})
    assert store.authenticate(made.email, WRONG) is None
    assert stored_password(store, made.id) == old
    assert store.authenticate(made.email, PASSWORD) == made
    renewed = stored_password(store, made.id)
    assert not is_outdated(renewed)
    assert matches(PASSWORD, renewed)


def test_the_stored_form_names_its_version_and_parameters() -> None:
    first, second = hashed(PASSWORD), hashed(PASSWORD)
    assert first != second
    form, cost, salt, key = first.split("$")
    assert (form, cost) == ("scrypt.1", f"{COST.n}.{COST.r}.{COST.p}")
    assert len(base64.b64decode(salt)) == len(base64.b64decode(key)) == 32
    assert PASSWORD.get_secret_value() not in first
    assert (128 * COST.n * COST.r, COST.p) == (32 * 2**20, 3)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "x",
        "scrypt.1$$$",
        "scrypt.9$1024.8.1$AAAA$AAAA",
        "scrypt.1$999999999.8.1$AAAA$AAAA",
        "scrypt.1$a.b.c$AAAA$AAAA",
    ],
)
def test_an_unreadable_stored_form_matches_nothing(stored: str) -> None:
    assert not matches(PASSWORD, stored)


def test_accents_may_be_typed_either_way() -> None:
    stored = hashed(SecretStr(normalize("NFC", "senha com acentuação")))
    assert matches(SecretStr(normalize("NFD", "senha com acentuação")), stored)


def test_the_audit_trail_tells_newest_first(store: Store) -> None:
    store.record_audit("ana@example.com", "job.retry", "job-1")
    store.record_audit("sys\x00tem", "x" * 3000, "")
    second, first = store.audit()
    assert (first.actor, first.action, first.target, first.detail) == ("ana@example.com", "job.retry", "job-1", {})
    assert (second.actor, len(second.action)) == ("sys\ufffdtem", 2000)
    assert first.id < second.id
    assert first.at <= second.at
    assert store.audit(limit=1) == [second]
    assert store.audit(limit=0) == []


def test_an_audit_entry_takes_any_detail_and_hides_secrets(store: Store) -> None:
    circle: list[object] = []
    circle.append(circle)
    detail = {
        "token": SecretStr("hidden!"),
        "nested": [{"password": SecretStr("hidden!")}],
        "odd": object(),
        "number": float("nan"),
        "raw": b"\xff",
        "broken": "\ud800",
        "zero": "a\x00b",
        "circle": circle,
    }
    store.record_audit("cli", "connection.update", "c-1", detail)
    assert store.audit()[0].detail == {
        "token": "**********",
        "nested": [{"password": "**********"}],
        "odd": "<object>",
        "number": "NaN",
        "raw": "_w==",
        "broken": "<str>",
        "zero": "a\x00b",
        "circle": "<list>",
    }


@pytest.mark.parametrize("statement", ["UPDATE flowzz_audit SET actor = 'x'", "DELETE FROM flowzz_audit"])
def test_the_database_itself_keeps_the_audit_trail(store: Store, statement: str) -> None:
    store.record_audit("ana@example.com", "job.retry", "job-1")
    with pytest.raises(DBAPIError, match="append-only"), store.session() as session:
        session.execute(text(statement))
    assert [entry.actor for entry in store.audit()] == ["ana@example.com"]


def test_a_login_costs_the_same_whether_or_not_the_user_exists(store: Store) -> None:
    store.add_user("ana@example.com", PASSWORD, Role.VIEWER)
    idle = store.add_user("bob@example.com", PASSWORD, Role.VIEWER)
    store.set_user_active(idle.id, False)
    # Time of this thread's own work, which other processes on the machine do not stretch.
    costs = []
    for email in ("ana@example.com", "bob@example.com", "nobody@example.com", "no address"):
        before = time.thread_time()
        assert store.authenticate(email, WRONG) is None
        costs.append(time.thread_time() - before)
    assert min(costs) > max(costs) / 2, costs

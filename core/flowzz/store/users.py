"""Users: who may log in, and as what."""

from __future__ import annotations

import re
import uuid

from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from flowzz import clock
from flowzz.errors import InvalidRequest, NotFound
from flowzz.store import passwords
from flowzz.store.database import Sessions
from flowzz.store.records import Role, User
from flowzz.store.tables import UserRow
from flowzz.store.values import UNPRINTABLE, is_identifier

EMAIL = re.compile(r"[^@\s,;<>()\"\\]{1,64}@[^@\s,;<>()\"\\.]+(\.[^@\s,;<>()\"\\.]+)*\Z")
LONGEST_EMAIL = 254


class Users(Sessions):
    """The part of the store that keeps users."""

    def add_user(self, email: str, password: SecretStr, role: Role) -> User:
        """Store a user who may log in from now on.

        Raises InvalidRequest for something that is no e-mail address, one that another user has (case does not
        matter), and a password under 12 characters or easily guessed. No message repeats the password.
        """
        address = _address(email)
        if address is None:
            raise InvalidRequest(f"expected an e-mail address such as ana@example.com, got {email[:LONGEST_EMAIL]!r}")
        passwords.check_rules(password, address)
        row = UserRow(
            id=str(uuid.uuid4()),
            email=address,
            password=passwords.hashed(password),
            role=Role(role).value,
            is_active=True,
            created_at=clock.now(),
        )
        try:
            with self.session() as session:
                session.add(row)
        except IntegrityError:
            raise InvalidRequest(f"another user already has the e-mail address {address}") from None
        return _user(row)

    def users(self) -> list[User]:
        """Every user, by e-mail address."""
        with self._reading() as session:
            return [_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.email))]

    def user(self, user_id: str) -> User | None:
        """The user with that id, active or not; None when there is none."""
        with self._reading() as session:
            row = session.get(UserRow, user_id) if is_identifier(user_id) else None
        return _user(row) if row else None

    def user_by_email(self, email: str) -> User | None:
        """The user with that address, in whatever case, active or not; None when there is none."""
        row = self._row_of(email)
        return _user(row) if row else None

    def authenticate(self, email: str, password: SecretStr) -> User | None:
        """The active user with that address and password, or None.

        Does the same work for a wrong password, an unknown address and an inactive user, so that the time taken
        tells nothing (about a quarter second). A password stored with other parameters is stored anew.
        """
        row = self._row_of(email)
        right = passwords.matches(password, row.password if row else None)
        if row is None or not right or not row.is_active:
            return None
        if passwords.is_outdated(row.password):
            self._replace_password(row, password)
        return _user(row)

    def set_password(self, user_id: str, password: SecretStr) -> None:
        """Give a user a new password. Raises NotFound, and InvalidRequest like ``add_user``."""
        user = self.user(user_id)
        if user is None:
            raise _missing(user_id)
        passwords.check_rules(password, user.email)
        stored = passwords.hashed(password)
        with self.session() as session:
            session.execute(update(UserRow).where(UserRow.id == user_id).values(password=stored))

    def set_user_active(self, user_id: str, active: bool) -> None:
        """Let a user log in, or no longer. Raises NotFound."""
        with self.session() as session:
            row = session.get(UserRow, user_id, with_for_update=True) if is_identifier(user_id) else None
            if row is None:
                raise _missing(user_id)
            row.is_active = active

    def _row_of(self, email: str) -> UserRow | None:
        address = _address(email)
        if address is None:
            return None
        with self._reading() as session:
            return session.scalars(select(UserRow).where(UserRow.email == address)).one_or_none()

    def _replace_password(self, row: UserRow, password: SecretStr) -> None:
        renewed = passwords.hashed(password)
        # Only while it is the one we checked: a password changed meanwhile wins.
        same = update(UserRow).where(UserRow.id == row.id, UserRow.password == row.password)
        with self.session() as session:
            session.execute(same.values(password=renewed))


def _address(email: str) -> str | None:
    trimmed = email.strip().lower()
    plausible = len(trimmed) <= LONGEST_EMAIL and EMAIL.match(trimmed) and not UNPRINTABLE.search(trimmed)
    return trimmed if plausible else None


def _user(row: UserRow) -> User:
    return User(row.id, row.email, Role(row.role), row.is_active, row.created_at)


def _missing(user_id: str) -> NotFound:
    return NotFound(f"no user has the id {user_id!r}")

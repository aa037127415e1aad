"""Connections: a company's accounts at the upstreams, with encrypted credentials and a webhook token each."""

from __future__ import annotations

import hashlib
import re
import secrets as random_secrets
import uuid
from collections.abc import Mapping
from datetime import datetime
from hmac import compare_digest
from typing import Any

from cryptography.fernet import InvalidToken
from pydantic import SecretStr
from sqlalchemy import Engine, Row, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowzz import clock
from flowzz.errors import ConfigurationError, ConnectionChanged, InvalidRequest, NotFound
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.store.companies import Companies
from flowzz.store.keys import Keys
from flowzz.store.sealing import SealedSecrets, seal
from flowzz.store.tables import CompanyRow, ConnectionRow
from flowzz.store.values import is_identifier, name_of, note_of, plain_json

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
OLDEST_FIRST = (ConnectionRow.created_at, ConnectionRow.id)
# Asked for by nearly every job: made once, and as plain rows.
_OF_PLUGIN = select(ConnectionRow.__table__).where(ConnectionRow.plugin == bindparam("plugin")).order_by(*OLDEST_FIRST)
_OF_COMPANY = _OF_PLUGIN.where(ConnectionRow.company_id == bindparam("company"))


class Connections(Companies):
    """The part of the store that keeps connections. What it gives out decrypts its secrets at the first look."""

    def __init__(self, engine: Engine, keys: Keys) -> None:
        super().__init__(engine)
        self._cipher = keys.cipher

    def add_connection(
        self,
        company_id: str,
        plugin: str,
        label: str,
        config: Mapping[str, Any],
        secrets: Mapping[str, SecretStr],
    ) -> tuple[Connection, str]:
        """Connect a company; the connection, and its webhook token ``<connection id>.<secret>``.

        The token is shown this once: only its SHA-256 is kept. Raises NotFound without that company, and
        InvalidRequest for an empty label, a config that is not plain JSON, or a secret among the config.
        """
        if not PLUGIN_NAME.match(plugin):
            raise InvalidRequest(f"expected a plugin name of lower-case letters, digits and '_', got {plugin!r}")
        identifier, at = str(uuid.uuid4()), clock.now()
        token = _new_token(identifier)
        row = ConnectionRow(
            id=identifier,
            company_id=company_id,
            plugin=plugin,
            label=name_of("a connection label", label),
            state=ConnectionState.ACTIVE.value,
            state_reason=None,
            config=plain_json("connection field", config),
            sealed_secrets=seal(self._cipher, identifier, secrets),
            token_digest=_digest(token),
            created_at=at,
            updated_at=at,
            state_since=at,
        )
        self._insert(row)
        return self._connection(row), token

    def _insert(self, row: ConnectionRow) -> None:
        missing = NotFound(f"no company has the id {row.company_id!r}")
        try:
            with self.session() as session:
                if not is_identifier(row.company_id) or session.get(CompanyRow, row.company_id) is None:
                    raise missing
                session.add(row)
        except IntegrityError:
            # Removed by somebody else between the look and the insert.
            raise missing from None

    def update_connection(
        self,
        connection_id: str,
        *,
        config: Mapping[str, Any] | None = None,
        secrets: Mapping[str, SecretStr] | None = None,
        label: str | None = None,
        over: Connection | None = None,
    ) -> Connection:
        """Replace what is given, each as a whole; None leaves it as it is.

        New ``secrets`` set a connection that needed credentials back to active. One that a person paused stays
        paused. ``over`` is the connection from which the new fields were made. Raises NotFound, ConnectionChanged
        when its fields are not the stored ones any more, and InvalidRequest like ``add_connection``; then nothing
        changes.
        """
        with self.session() as session:
            row = _locked(session, connection_id)
            if over is not None and (row.config, self._secrets(row)) != (over.config, over.secrets):
                raise ConnectionChanged
            if label is not None:
                row.label = name_of("a connection label", label)
            if config is not None:
                row.config = plain_json("connection field", config)
            if secrets is not None:
                row.sealed_secrets = seal(self._cipher, row.id, secrets)
                if row.state == ConnectionState.NEEDS_CREDENTIALS.value:
                    _enter(row, ConnectionState.ACTIVE, None)
            row.updated_at = clock.now()
        return self._connection(row)

    def set_connection_state(self, connection_id: str, state: ConnectionState, reason: str | None) -> None:
        """Set the state and why (cut at 2,000 characters; an active connection needs no reason). Raises NotFound."""
        with self.session() as session:
            row = _locked(session, connection_id)
            _enter(row, ConnectionState(state), reason)
            row.updated_at = clock.now()

    def note_check(self, connection_id: str, problem: str | None) -> None:
        """Somebody tested the connection now, and found ``problem`` (None: it works). Raises NotFound."""
        with self.session() as session:
            row = _locked(session, connection_id)
            row.checked_at, row.check_problem = clock.now(), None if problem is None else note_of(problem)

    def note_success(self, connection_id: str) -> None:
        """A job completed with the connection just now. One that was removed meanwhile is no error."""
        with self.session() as session:
            session.execute(
                update(ConnectionRow).where(ConnectionRow.id == connection_id).values(succeeded_at=clock.now())
            )

    def need_credentials(self, connection_id: str, reason: str, *, as_of: datetime) -> bool:
        """The upstream refused the credentials that were in use at ``as_of``: pause the connection until new ones come.

        False, and nothing changes, when the connection was changed since (the refused credentials are no longer the
        stored ones) or is not active any more (somebody paused it). Raises NotFound.
        """
        with self.session() as session:
            row = _locked(session, connection_id)
            if row.updated_at > as_of or row.state != ConnectionState.ACTIVE.value:
                return False
            _enter(row, ConnectionState.NEEDS_CREDENTIALS, reason)
            row.updated_at = clock.now()
        return True

    def remove_connection(self, connection_id: str) -> None:
        """Remove a connection with its credentials; its webhook token stops working at once.

        Raises NotFound, or InvalidRequest when a plugin still keeps data of it; then nothing is removed.
        """
        try:
            with self.session() as session:
                session.delete(_locked(session, connection_id))
        except IntegrityError:
            raise InvalidRequest(
                f"connection {connection_id!r} cannot be removed while a plugin still keeps data of it"
            ) from None

    def connection(self, company_id: str, plugin: str) -> Connection:
        """The company's oldest connection to the plugin's upstream, whatever its state. Raises NotFound."""
        query = select(ConnectionRow).where(ConnectionRow.company_id == company_id, ConnectionRow.plugin == plugin)
        with self._reading() as session:
            known = is_identifier(company_id) and is_identifier(plugin)
            row = session.scalars(query.order_by(*OLDEST_FIRST).limit(1)).first() if known else None
        if row is None:
            raise NotFound(f"company {company_id!r} has no connection to {plugin}")
        return self._connection(row)

    def connection_by_id(self, connection_id: str) -> Connection:
        """The connection with that id. Raises NotFound."""
        with self._reading() as session:
            row = session.get(ConnectionRow, connection_id) if is_identifier(connection_id) else None
        if row is None:
            raise _missing(connection_id)
        return self._connection(row)

    def connections(self, plugin: str, *, active_only: bool = True, company_id: str | None = None) -> list[Connection]:
        """Every company's connections to the plugin's upstream, or one's, oldest first; by default the active ones."""
        query = _OF_PLUGIN if company_id is None else _OF_COMPANY
        known = company_id is not None and is_identifier(company_id)
        found = self._look(query, {"plugin": plugin, "company": company_id if known else ""})
        connections = [self._connection(row) for row in found]
        return [one for one in connections if one.state is ConnectionState.ACTIVE or not active_only]

    def all_connections(self) -> list[Connection]:
        """Every connection of every plugin, whatever its state, oldest first."""
        with self._reading() as session:
            rows = session.scalars(select(ConnectionRow).order_by(*OLDEST_FIRST))
            return [self._connection(row) for row in rows]

    def count_connections(self, state: ConnectionState) -> int:
        """How many connections, of all plugins and companies, are in that state."""
        query = select(func.count()).select_from(ConnectionRow).where(ConnectionRow.state == state.value)
        with self._reading() as session:
            return session.scalar(query) or 0

    def connection_by_webhook_token(self, plugin: str, token: str) -> Connection | None:
        """The connection that ``token`` belongs to, whatever its state; None for a wrong one or another plugin's.

        The comparison takes the same time however much of the token is right, and happens for unknown ids too.
        """
        connection_id = token.rpartition(".")[0]
        with self._reading() as session:
            row = session.get(ConnectionRow, connection_id) if is_identifier(connection_id) else None
        expected = _digest("") if row is None else row.token_digest
        right = compare_digest(_digest(token), expected)
        return self._connection(row) if row is not None and right and row.plugin == plugin else None

    def rotate_webhook_token(self, connection_id: str) -> str:
        """A new webhook token, shown this once; the old one stops working at once. Raises NotFound."""
        token = _new_token(connection_id)
        with self.session() as session:
            row = _locked(session, connection_id)
            row.token_digest = _digest(token)
            row.updated_at = clock.now()
        return token

    def reencrypt(self) -> int:
        """Put every connection's secrets under the newest key; how many there were.

        All or nothing: raises ConfigurationError, naming the connection, when one cannot be decrypted.
        """
        with self.session() as session:
            rows = session.scalars(select(ConnectionRow).order_by(*OLDEST_FIRST).with_for_update()).all()
            for row in rows:
                try:
                    row.sealed_secrets = self._cipher.rotate(row.sealed_secrets.encode()).decode("ascii")
                except InvalidToken:
                    raise ConfigurationError(
                        f"the credentials of connection {row.id} cannot be decrypted with any key of "
                        "FLOWZZ_ENCRYPTION_KEYS; nothing was changed"
                    ) from None
            return len(rows)

    def _connection(self, row: ConnectionRow | Row[Any]) -> Connection:
        return Connection(
            id=row.id,
            company_id=row.company_id,
            plugin=row.plugin,
            label=row.label,
            state=ConnectionState(row.state),
            state_reason=row.state_reason,
            config=row.config,
            secrets=self._secrets(row),
            created_at=row.created_at,
            updated_at=row.updated_at,
            state_since=row.state_since,
            checked_at=row.checked_at,
            check_problem=row.check_problem,
            succeeded_at=row.succeeded_at,
        )

    def _secrets(self, row: ConnectionRow | Row[Any]) -> SealedSecrets:
        return SealedSecrets(self._cipher, row.id, row.sealed_secrets)


def _enter(row: ConnectionRow, state: ConnectionState, reason: str | None) -> None:
    if row.state != state.value:
        row.state, row.state_since = state.value, clock.now()
    row.state_reason = None if reason is None else note_of(reason)


def _locked(session: Session, connection_id: str) -> ConnectionRow:
    known = is_identifier(connection_id)
    row = session.get(ConnectionRow, connection_id, with_for_update=True) if known else None
    if row is None:
        raise _missing(connection_id)
    return row


def _new_token(connection_id: str) -> str:
    return f"{connection_id}.{random_secrets.token_urlsafe(32)}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _missing(connection_id: str) -> NotFound:
    return NotFound(f"no connection has the id {connection_id!r}")

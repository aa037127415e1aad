"""What a person does with connections, wherever they are: on the command line, over HTTP, in the admin.

Each act is checked, done, and put on record, in this order; one that is refused changes nothing. Fields go by the names
of the plugin's connection model (or its aliases).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowzz.errors import ConfigurationError, InvalidRequest
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.plugins.connecting import connection_type, problem_of, secret_names, split, try_out
from flowzz.plugins.contributions import ConnectionType
from flowzz.plugins.host import PluginHost
from flowzz.store import Store


class Connecting:
    """The acts of one person: ``by`` is who goes on record, ``via`` what they used (``api``; '' for the usual)."""

    def __init__(self, plugins: PluginHost, store: Store, by: str, *, via: str = "") -> None:
        self._plugins = plugins
        self._store = store
        self._by = by
        self._via = {"via": via} if via else {}

    def kind(self, plugin: str) -> ConnectionType:
        """Raises NotFound, naming the nearest, when no loaded plugin of that name takes connections."""
        return connection_type(self._plugins, plugin)

    def takes_webhooks(self, plugin: str) -> bool:
        return plugin in self._plugins.webhooks

    def add(
        self, plugin: str, company_id: str, label: str | None, values: Mapping[str, Any], *, test: bool = True
    ) -> tuple[Connection, str]:
        """Connect a company; the connection and its webhook token, which is told this once.

        ``label`` None is the plugin's title. With ``test`` the upstream is asked first. Raises NotFound without that
        company or plugin, InvalidConnection naming the fields, ConnectionTestFailed, InvalidRequest for the label.
        """
        kind = self.kind(plugin)
        self._store.company(company_id)
        config, secrets = split(plugin, kind.model, values)
        if test:
            try_out(kind, company_id, config, secrets)
        made, token = self._store.add_connection(company_id, plugin, label or kind.title, config, secrets)
        if test and kind.check is not None:
            self._store.note_check(made.id, None)
        self._record("add", made.id, {"plugin": plugin, "company": company_id})
        return self._store.connection_by_id(made.id), token

    def update(
        self, connection_id: str, values: Mapping[str, Any], *, label: str | None = None, test: bool = True
    ) -> Connection:
        """Put ``values`` over the stored fields; what is not named stays.

        A new value makes a connection that needed credentials active again; another label alone does not. With
        ``test`` the upstream is asked about new values first; what others store meanwhile is not overwritten. Raises
        NotFound, InvalidConnection, ConnectionTestFailed, ConnectionChanged, InvalidRequest.
        """
        one = self._store.connection_by_id(connection_id)
        if not values:
            changed = self._store.update_connection(connection_id, label=label)
        else:
            kind = self.kind(one.plugin)
            config, secrets = split(one.plugin, kind.model, _put_over(one, kind, values))
            if test:
                try_out(kind, one.company_id, config, secrets)
            changed = self._store.update_connection(
                connection_id, config=config, secrets=secrets, label=label, over=one
            )
            if test and kind.check is not None:
                self._store.note_check(connection_id, None)
                changed = self._store.connection_by_id(connection_id)
        self._record("update", connection_id, {"fields": sorted(values)})
        return changed

    def test(self, connection_id: str) -> str | None:
        """Ask the upstream with the stored credentials; what is wrong, None when it works. The answer is kept.

        Raises NotFound, and InvalidRequest when the plugin offers no test.
        """
        one = self._store.connection_by_id(connection_id)
        problem = problem_of(self.kind(one.plugin), one)
        self._store.note_check(connection_id, problem)
        return problem

    def pause(self, connection_id: str, reason: str) -> None:
        """Schedules leave it out and its jobs wait, until it is resumed. Raises NotFound."""
        self._enter(connection_id, ConnectionState.PAUSED, reason)

    def resume(self, connection_id: str) -> None:
        """It is active, and the jobs that wait for it run. Raises NotFound."""
        self._enter(connection_id, ConnectionState.ACTIVE, None)

    def rotate_webhook(self, connection_id: str) -> str:
        """A new webhook token, told this once; the old one stops working. Raises NotFound, and InvalidRequest when the
        plugin takes no webhooks.
        """
        one = self._store.connection_by_id(connection_id)
        if not self.takes_webhooks(one.plugin):
            raise InvalidRequest(f"plugin {one.plugin} takes no webhooks")
        token = self._store.rotate_webhook_token(connection_id)
        self._record("rotate_webhook", connection_id)
        return token

    def remove(self, connection_id: str) -> Connection:
        """Remove it with its credentials; what it was. Raises NotFound; InvalidRequest while a plugin has its data."""
        one = self._store.connection_by_id(connection_id)
        self._store.remove_connection(connection_id)
        self._record("remove", connection_id, {"plugin": one.plugin})
        return one

    def _enter(self, connection_id: str, state: ConnectionState, reason: str | None) -> None:
        self._store.set_connection_state(connection_id, state, reason)
        self._record(state.value, connection_id, {"reason": reason} if reason else {})

    def _record(self, act: str, connection_id: str, detail: Mapping[str, Any] | None = None) -> None:
        self._store.record_audit(self._by, f"connection.{act}", connection_id, {**(detail or {}), **self._via} or None)


def webhook_url(web_url: str, plugin: str, token: str) -> str:
    """Where an upstream sends its webhooks for the connection that ``token`` belongs to."""
    return f"{web_url}/webhooks/{plugin}/{token}"


def document(one: Connection, kind: ConnectionType | None) -> dict[str, Any]:
    """A connection as programs read it: no secret, only which of them ``kind``'s model has (``secrets``).

    ``kind`` is None when its plugin is not loaded; then nothing is said of secrets.
    """
    return {
        "id": one.id,
        "companyId": one.company_id,
        "plugin": one.plugin,
        "label": one.label,
        "state": one.state,
        "stateReason": one.state_reason,
        "config": dict(one.config),
        "secrets": secret_names(kind.model) if kind else [],
        "stateSince": one.state_since,
        "checkedAt": one.checked_at,
        "checkProblem": one.check_problem,
        "succeededAt": one.succeeded_at,
        "createdAt": one.created_at,
        "updatedAt": one.updated_at,
    }


def stored_secrets(one: Connection) -> set[str]:
    """Names of the secrets that it has; none when no key opens them, so that they have to be given anew."""
    try:
        return set(one.secrets)
    except ConfigurationError:
        return set()


def _put_over(one: Connection, kind: ConnectionType, values: Mapping[str, Any]) -> dict[str, Any]:
    """The stored fields with ``values`` in their places.

    Secrets that no key opens are left out when others are given, which is how they are stored anew. When none is,
    the change would lose them: raises InvalidRequest.
    """
    given = _by_name(kind, values)
    try:
        secrets = dict(one.secrets)
    except ConfigurationError as error:
        if not set(secret_names(kind.model)) & given.keys():
            raise InvalidRequest(str(error)) from None
        secrets = {}
    return {**one.config, **secrets, **given}


def _by_name(kind: ConnectionType, values: Mapping[str, Any]) -> dict[str, Any]:
    """Aliases become names, so that a value replaces the stored one instead of standing beside it."""
    names = {info.alias: name for name, info in kind.model.model_fields.items() if info.alias}
    return {names.get(name, name): value for name, value in values.items()}

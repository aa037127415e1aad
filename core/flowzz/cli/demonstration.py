"""What ``flowzz demo`` does once everything runs: a company, its connections, each plugin's jobs, and how they went."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import SecretStr

from flowzz import logs
from flowzz.cli.backend import Backend
from flowzz.cli.standing import Login, Standing
from flowzz.errors import ConfigurationError, NotFound
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.state import JobState
from flowzz.plugins.connecting import connection_type, split
from flowzz.plugins.contributions import Sandbox
from flowzz.plugins.host import PluginHost
from flowzz.store import Store
from flowzz.store.private_files import exclusive, write_once
from flowzz.store.records import Role

log = structlog.get_logger("flowzz.demo")

COMPANY = "Loja Demo"
DEMO_EMAIL = "demo@flowzz.local"
ALL_WITHIN_S = 300.0
LOOK_S = 0.2


@dataclass
class Row:
    """One job in the outcome table. ``status`` is a job state, or ``failed`` when a plugin's demo itself broke."""

    job: str
    id: str | None
    status: str = JobState.WAITING.value
    result: Any = None
    duration_ms: float | None = None
    error: str | None = None
    note: str = ""

    @property
    def is_final(self) -> bool:
        return self.status in (state.value for state in JobState if state.is_final)

    @property
    def succeeded(self) -> bool:
        return self.status == JobState.COMPLETED.value

    def update(self, record: Mapping[str, Any]) -> None:
        """Take over what the API says of the job."""
        self.job, self.status, self.result = record["name"], record["state"], record["result"]
        self.error = record["error"]["message"] if record["error"] else None
        progress = record["progress"]
        self.note = f"{progress['percent']:g} % {progress['note']}" if progress else record["note"] or ""
        if record["startedAt"] and record["endedAt"]:
            took = datetime.fromisoformat(record["endedAt"]) - datetime.fromisoformat(record["startedAt"])
            self.duration_ms = round(took.total_seconds() * 1000, 3)

    def as_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "id": self.id,
            "status": self.status,
            "result": self.result,
            "durationMs": self.duration_ms,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Door:
    """How a plugin's upstream and its sandbox meet: the connection out, and where webhooks come in."""

    connection: Connection
    webhook_url: str


class Session:
    """What one plugin's demo works with; see ``flowzz.plugins.contributions.DemoSession``."""

    def __init__(
        self, plugin: str, company_id: str, user_id: str, sandbox_url: str, door: Door | None, backend: Backend
    ) -> None:
        self.company_id = company_id
        self.user_id = user_id
        self.sandbox_url = sandbox_url
        self.rows: list[Row] = []
        self._plugin = plugin
        self._door = door
        self._backend = backend

    @property
    def connection(self) -> Connection:
        return self._entrance().connection

    @property
    def webhook_url(self) -> str:
        return self._entrance().webhook_url

    def _entrance(self) -> Door:
        if self._door is None:
            raise ConfigurationError(f"plugin {self._plugin} has no connection type, so its demo has no connection")
        return self._door

    def enqueue(self, job: str, payload: Mapping[str, Any]) -> str:
        job_id = self._backend.enqueue(job, dict(payload))
        self.rows.append(Row(job, job_id))
        return job_id

    def expect(self, job_id: str) -> None:
        self.rows.append(Row(self._plugin, job_id))

    def wait(self, job_id: str, within: timedelta = timedelta(seconds=60)) -> Mapping[str, Any]:
        deadline = time.monotonic() + within.total_seconds()
        while time.monotonic() < deadline:
            record: Mapping[str, Any] = self._backend.job(job_id)
            if JobState(record["state"]).is_final:
                return record
            time.sleep(LOOK_S)
        raise TimeoutError(f"job {job_id} did not end within {within.total_seconds():g} s")


class Demonstration:
    def __init__(self, here: Standing, plugins: PluginHost, backend: Backend, login: Login) -> None:
        self._here = here
        self._plugins = plugins
        self._backend = backend
        self._login = login
        self._rows: list[Row] = []

    def run(self, show: Callable[[list[Row]], None]) -> list[Row]:
        """Run every plugin's demo and wait for its jobs (5 minutes at most); ``show`` is told of each look.

        Those that read what others store come last, when the jobs of the others have ended; not at all when nobody
        offers what they need.
        """
        company_id = _company(self._here.store)
        deadline = time.monotonic() + ALL_WITHIN_S
        demos = sorted(self._plugins.sandboxes.items())
        for turn in (False, True):
            for plugin, sandbox in demos:
                if bool(sandbox.needs) is turn and self._offered(sandbox):
                    self._begin(plugin, sandbox, company_id)
                    show(self._rows)
            self._follow(show, deadline)
        return self._rows

    def _offered(self, sandbox: Sandbox) -> bool:
        return set(sandbox.needs) <= {source.topic for source in self._plugins.data_sources.values()}

    def _follow(self, show: Callable[[list[Row]], None], deadline: float) -> None:
        while True:
            for row in self._rows:
                if row.id is not None and not row.is_final:
                    row.update(self._backend.job(row.id))
            show(self._rows)
            if all(row.is_final for row in self._rows) or time.monotonic() > deadline:
                return
            time.sleep(LOOK_S)

    def _begin(self, plugin: str, sandbox: Sandbox, company_id: str) -> None:
        url = f"{self._here.sandbox_url}/{plugin}"
        fields = sandbox.connection(url) if sandbox.connection and plugin in self._plugins.connection_types else None
        door = None if fields is None else self._connect(plugin, fields, company_id)
        session = Session(plugin, company_id, self._user_id(), url, door, self._backend)
        try:
            sandbox.demo(session)
        except Exception as error:
            log.exception("a plugin's demo broke", plugin=plugin)
            said = f"{type(error).__name__}: {error}"
            session.rows.append(Row(f"{plugin} (its demo)", None, JobState.FAILED.value, error=said))
        self._rows += session.rows

    def _user_id(self) -> str:
        user = self._here.store.user_by_email(self._login.email)
        if user is None:
            raise NotFound(f"the demo's user {self._login.email} was removed meanwhile")
        return user.id

    def _connect(self, plugin: str, fields: Mapping[str, Any], company_id: str) -> Door:
        """The demo company's connection to the sandbox, which is at another port each time."""
        kind = connection_type(self._plugins, plugin)
        config, sealed = split(plugin, kind.model, fields)
        store = self._here.store
        for one in store.connections(plugin, active_only=False):
            if one.company_id == company_id:
                store.set_connection_state(one.id, ConnectionState.ACTIVE, None)
                connection = store.update_connection(one.id, config=config, secrets=sealed)
                return self._door(connection, store.rotate_webhook_token(one.id))
        return self._door(*store.add_connection(company_id, plugin, f"{kind.title} (sandbox)", config, sealed))

    def _door(self, connection: Connection, token: str) -> Door:
        return Door(connection, f"{self._here.loopback_url}/webhooks/{connection.plugin}/{token}")


def demo_login(here: Standing) -> Login:
    """An admin the demo can log in as, the same every time: the first one, or one of its own.

    Its password is kept in ``keys/demo-login`` (0600), beside the keys that could sign in anybody anyway.
    """
    file = here.settings.data_folder / "keys" / "demo-login"
    given = here.settings.admin_password
    candidates = [here.first_admin, Login(here.settings.admin_email, given) if given else None]
    with suppress(OSError, ValueError, KeyError):
        kept = json.loads(file.read_text(encoding="ascii"))
        candidates.append(Login(kept["email"], SecretStr(kept["password"])))
    for login in candidates:
        if login is not None and here.store.authenticate(login.email, login.password):
            break
    else:
        login = _own_user(here.store)
    logs.register_secret(login.password)
    with exclusive(file.parent / ".lock"):
        write_once(file, json.dumps({"email": login.email, "password": login.password.get_secret_value()}))
    return login


def _own_user(store: Store) -> Login:
    login = Login(DEMO_EMAIL, SecretStr(secrets.token_urlsafe(15)))
    user = store.user_by_email(DEMO_EMAIL)
    if user is None:
        store.add_user(DEMO_EMAIL, login.password, Role.ADMIN)
    else:
        store.set_password(user.id, login.password)
    return login


def _company(store: Store) -> str:
    for company in store.companies():
        if company.name == COMPANY:
            return company.id
    return store.add_company(COMPANY).id

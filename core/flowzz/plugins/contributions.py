"""What a plugin gives to Flowzz: frozen values, returned by its hooks and stamped with their source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from flowzz.jobs.connection import Connection
from flowzz.jobs.context import EnqueuePort as EnqueuePort
from flowzz.jobs.context import StorePort
from flowzz.jobs.limits import Rate
from flowzz.jobs.notifications import Notification
from flowzz.jobs.sources import DataColumn as DataColumn
from flowzz.jobs.sources import DataSource as DataSource


class MissedTick(StrEnum):
    """What to do with ticks that passed while no scheduler ran.

    ``RUN_ONCE`` on return, ``SKIP`` them, or ``RUN_ALL``: each as a tick of its own, oldest first, at most the newest
    ``Schedule.missed_limit``.
    """

    RUN_ONCE = "run_once"
    SKIP = "skip"
    RUN_ALL = "run_all"


class Overlap(StrEnum):
    """What to do with a tick while jobs of an earlier one have not ended: run it all the same, or skip it."""

    ALLOW = "allow"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job that runs by the clock.

    - ``name``: unique, ``plugin.what``; usually the job's own name.
    - ``cron``: five fields, read in ``timezone``.
    - ``payloads``: called at each tick; one job is enqueued for each payload it gives (one a company, say).
    - ``spread``: the jobs of one tick start at random within this time. Default: all at once.
    - ``missed``: see MissedTick; default run once. ``missed_limit``: ticks that RUN_ALL runs at most; default 10.
    - ``overlap``: see Overlap; default allow.
    """

    name: str
    job: str
    cron: str
    payloads: Callable[[StorePort], Iterable[Mapping[str, Any] | BaseModel]]
    timezone: str = "America/Sao_Paulo"
    spread: timedelta = timedelta(0)
    missed: MissedTick = MissedTick.RUN_ONCE
    missed_limit: int = 10
    overlap: Overlap = Overlap.ALLOW
    description: str = ""
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How fast a whole queue is worked off, by all workers together and whoever enqueued into it.

    - ``queue``: its name. One plugin limits a queue; two that do are a conflict.
    - ``rate``: starts in any window, such as ``Rate(10, timedelta(seconds=60))``. Default: no limit.
    - ``concurrency``: jobs at a time. Default: no limit.

    Workers publish it when they start. An operator's edit at run time lies over it (``flowzz limits``).
    """

    queue: str
    rate: Rate | None = None
    concurrency: int | None = None
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """An incoming webhook as it came: the raw body, the headers (lower-case names) and the query."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]
    remote_addr: str | None


@dataclass(frozen=True, slots=True)
class WebhookReply:
    """What to answer: ``text``, as text/plain, or else ``body``, as JSON."""

    status: int = 200
    body: Mapping[str, Any] = field(default_factory=lambda: {"received": True})
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Takes what an upstream posts to ``/webhooks/<plugin>/<token>``.

    The host has already found the connection by its token (constant-time) and bounded the body's size.
    ``receive`` stores the raw body, enqueues a job and returns at once. It runs in the web process, as does
    ``challenge``, which answers ``GET`` at the same address for upstreams that ask whether somebody is there before
    they post (its request has no body); without one, a GET is refused with 405.
    """

    plugin: str
    receive: Callable[[WebhookRequest, Connection, StorePort, EnqueuePort], WebhookReply]
    max_bytes: int = 256 * 1024
    challenge: Callable[[WebhookRequest, Connection], WebhookReply] | None = None
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionType:
    """What a company must give to be connected to this plugin's upstream.

    ``model`` is a pydantic model; each field's title, description and default make the CLI's questions (and,
    later, the admin's form); fields typed ``SecretStr`` are stored encrypted. ``check`` calls the upstream and
    raises an error a person can read when the connection does not work.
    """

    plugin: str
    title: str
    model: type[BaseModel]
    check: Callable[[Connection], None] | None = None
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrations:
    """The plugin's own tables, as Alembic revisions.

    ``folder`` needs exactly one thing in it: a folder ``versions`` with the revision files. No ``env.py``, no
    ``alembic.ini``: Flowzz brings those. Ship the files as package data. Each revision is a Python file with

    - ``revision``: unique in the plugin, at most 32 characters, such as ``"coinzz_0001"``;
    - ``down_revision``: the one before it, None in the first. ``branch_labels`` and ``depends_on`` are None;
    - ``upgrade()``: uses ``alembic.op``. Every table is named ``<plugin>_*``. Times are of the type
      ``flowzz.store.UtcDateTime``. A column that names a company may refer to ``flowzz_companies.id`` and one
      that names a connection to ``flowzz_connections.id``; with ``ondelete="CASCADE"`` its rows go when the
      company or connection is removed, without it the removal is refused while they exist.

    A revision runs once, in a transaction of its own that is rolled back when it fails, on SQLite as on
    PostgreSQL, with SQLite's foreign keys off (so ``op.batch_alter_table`` is safe). The core's tables are there
    by then; other plugins' may not be. Which ran is kept in ``alembic_version_<plugin>``. ``flowzz up`` and
    ``flowzz migrate`` run them; one process at a time does so however many start.
    """

    plugin: str
    folder: Path
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """Carries notifications to people, over whatever channel the plugin knows.

    ``notify`` runs in the worker, within the job that tells. It is True when it took the notification and False when
    that is none of its business. It may be called twice with the same ``Notification.key`` and tells the person once:
    best it only enqueues a job whose id is made of the key. What it raises is logged and stops nobody else.
    ``name`` is unique, ``plugin.what``.
    """

    name: str
    plugin: str
    notify: Callable[[Notification, StorePort, EnqueuePort], bool]
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminPages:
    """Pages of the plugin's own in the admin, under ``/admin/plugins/<plugin>/``.

    - ``title``: the link in the navigation, in English; translated when ``translations`` has it. It leads to ``/`` of
      the blueprint, which must have a view there.
    - ``blueprint``: makes a fresh Flask blueprint, with templates that extend ``page.html``. It is mounted under a name
      of the host's (in templates and views use ``url_for(".view")``), and only an ADMIN gets to it; CSRF, the content
      security policy, 401, 403 and the error pages are the admin's. Template names share one namespace: begin them
      with the plugin's name. Import Flask and ``flowzz_web`` only in there: workers have no use for them.
    - ``translations``: a folder with ``pt_BR/LC_MESSAGES/messages.mo``, for texts marked ``_()`` in templates or with
      ``flowzz_web.languages.translate``. Where the admin has the same text, its own translation counts.
    """

    plugin: str
    title: str
    blueprint: Callable[[], Any]
    translations: Path | None = None
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPages:
    """Pages that need no login, under ``/public/<plugin>/``: what is told by a link that proves itself, such as a file.

    ``blueprint`` makes a fresh Flask blueprint; it is mounted under a name of the host's and may only read: each of its
    routes takes GET (and HEAD) alone. Everybody can call it, so a view must check what its link carries, in constant
    time, before it looks anything up. Errors are answered like everywhere, ``flowzz_web.problems.Problem`` among them.
    A query parameter named ``signature`` is kept out of every log.
    """

    plugin: str
    blueprint: Callable[[], Any]
    source: str = field(default="", compare=False)


class DemoSession(Protocol):
    """What a plugin's demo may use: a company, its connection to the sandbox, and a running Flowzz."""

    @property
    def company_id(self) -> str: ...

    @property
    def user_id(self) -> str:
        """The user who looks at the demo."""
        ...

    @property
    def connection(self) -> Connection:
        """Raises ConfigurationError when the plugin has no connection type; so does ``webhook_url``."""
        ...

    @property
    def sandbox_url(self) -> str:
        """Where the plugin's own sandbox answers, for example ``http://127.0.0.1:4801/coinzz``."""
        ...

    @property
    def webhook_url(self) -> str:
        """Where the connection's webhooks are taken, token included."""
        ...

    def enqueue(self, job: str, payload: Mapping[str, Any]) -> str:
        """Enqueue over HTTP as a backend would; the job's row appears in the outcome table."""
        ...

    def expect(self, job_id: str) -> None:
        """Put a job that somebody else enqueued (a webhook) into the outcome table too."""
        ...

    def wait(self, job_id: str, within: timedelta = timedelta(seconds=60)) -> Mapping[str, Any]:
        """What ``GET /api/v1/jobs/{id}`` says of the job once it has ended. Raises TimeoutError after ``within``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A Flask blueprint that plays the upstream, for tests, demos and third parties.

    ``blueprint`` makes a fresh one; the host mounts it under ``/<plugin>``. ``connection`` gives the connection
    fields that reach it at a base URL. ``demo`` runs each of the plugin's jobs once. A plugin without an upstream has
    a demo alone: the other two are None.

    ``needs``: topics of data sources that the demo reads from. Such a demo begins when the jobs of all demos that need
    nothing have ended, so it finds what they stored.
    """

    plugin: str
    demo: Callable[[DemoSession], None]
    blueprint: Callable[[], Any] | None = None
    connection: Callable[[str], Mapping[str, Any]] | None = None
    needs: tuple[str, ...] = ()
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """The object behind an entry point of group ``flowzz.plugins``.

    - ``name``: the namespace of its jobs, tables and pages; the same as the entry point's name.
    - ``api``: the plugin API versions it works with, as a version specifier such as ``>=1,<2``.
    - ``hooks``: a module or object whose functions are marked ``@hookimpl``.
    """

    name: str
    title: str
    api: str
    hooks: object


Contributions = Sequence[Any]

"""What a benchmark of a plugin is, and what it works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from flowzz.app import Flowzz


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one measurement happens: a fresh home, database, Valkey and sandbox, on this machine.

    ``app`` is open, its tables are there; ``sandbox_url`` is the plugin's own sandbox, ``http`` a client for its
    controls. ``size`` is how many units of work are asked for.
    """

    app: Flowzz
    sandbox_url: str
    http: httpx.Client
    size: int

    def control(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        """One call of the sandbox's controls. Raises httpx.HTTPStatusError."""
        answer = self.http.request(method, f"{self.sandbox_url}/_control/{path}", json=dict(body or {}), timeout=600)
        answer.raise_for_status()
        return answer.json()

    def connect(self, company: str, plugin: str, fields: Mapping[str, Any]) -> str:
        """A new company with a connection to the sandbox; its id. ``fields`` are those of the connection model."""
        from flowzz.plugins.connecting import connection_type, split

        kind = connection_type(self.app.plugins, plugin)
        config, secrets = split(plugin, kind.model, fields)
        made = self.app.store.add_company(company)
        self.app.store.add_connection(made.id, plugin, company, config, secrets)
        return made.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One line of the table.

    - ``warm``: enqueues jobs that the worker runs before all else, so that whatever it starts at the first of its kind
      (the process that forks jobs, with all plugins loaded) is up; their ids. Not timed.
    - ``prepare``: seeds sandbox and tables and enqueues the jobs; their ids. All queues are paused; not timed.
    - ``check``: after the jobs have ended; raises AssertionError unless the work was really done.
    - ``floors``: the parts that no program could do without, each done alone by the shortest code there is, in seconds;
      called after the measurement, with what ``prepare`` and the jobs left. Their sum is the floor.
    - ``size``: units of work at scale 1; ``unit`` is what they are called.
    - ``watch``: queues whose emptiness says that all is done, for jobs that make further jobs; default: the jobs alone.
    """

    name: str
    title: str
    plugin: str
    size: int
    unit: str
    prepare: Callable[[Stage], list[str]]
    check: Callable[[Stage, list[str]], None]
    floors: Mapping[str, Callable[[Stage], float]]
    warm: Callable[[Stage], list[str]] = field(default=lambda stage: [])
    watch: tuple[str, ...] = ()
    concurrency: int = 10
    settings: Mapping[str, Any] = field(default_factory=dict)

"""What became of each plugin: the state it is in, why, and what it brought."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PluginState(StrEnum):
    """Where a plugin's way into the host ended. Only a ``loaded`` one contributes anything.

    - ``loaded``: everything it brings is in use.
    - ``disabled``: named in FLOWZZ_DISABLED_PLUGINS; its code was not even imported.
    - ``incompatible``: it asks for another version of Flowzz or of the plugin API.
    - ``import-error``: its entry point or its code cannot be imported.
    - ``invalid-config``: it declares something that does not fit (a wrong type, a foreign name, an unknown hook).
    - ``conflict``: a name it declares is taken, or a schedule's job is missing.
    - ``unhealthy``: one of its hooks raised.
    """

    LOADED = "loaded"
    DISABLED = "disabled"
    INCOMPATIBLE = "incompatible"
    IMPORT_ERROR = "import-error"
    INVALID_CONFIG = "invalid-config"
    CONFLICT = "conflict"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """One plugin as the operator sees it; ``problem`` is the traceback or the reason, None when it is loaded.

    ``threads`` are those it started while it was imported, by name. It should start none then: the processes of jobs
    are forked from one in which it was imported, and a lock that such a thread holds is never let go in them.
    """

    name: str
    title: str
    distribution: str
    version: str
    state: PluginState
    problem: str | None = None
    jobs: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()


class Rejected(Exception):
    """A plugin cannot go on to the next step: the state it ends in, and why. Never leaves this room."""

    def __init__(self, state: PluginState, problem: str) -> None:
        self.state = state
        self.problem = problem
        super().__init__(problem)

"""One plugin's way in, step by step: fence → import → validate → ask its hooks → check what they gave.

Every step either returns or ends in a PluginState; nothing is shared with other plugins until all have passed.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import click
import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from flowzz.errors import ConfigurationError, nearest
from flowzz.jobs.definition import JobDefinition
from flowzz.plugins.contributions import (
    AdminPages,
    ConnectionType,
    DataSource,
    Migrations,
    Notifier,
    Plugin,
    PublicPages,
    QueueLimits,
    Sandbox,
    Schedule,
    Webhook,
)
from flowzz.plugins.discovery import Candidate
from flowzz.plugins.hookspecs import API_VERSION, PROJECT, HookSpecs
from flowzz.plugins.states import PluginState, Rejected
from flowzz.plugins.validation import check_item

T = TypeVar("T")

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
RESERVED_NAMES = frozenset({"core", "flowzz"})
"""Version tables and table names of the core itself."""

KINDS: dict[str, type[Any]] = {
    "flowzz_jobs": JobDefinition,
    "flowzz_schedules": Schedule,
    "flowzz_queue_limits": QueueLimits,
    "flowzz_webhooks": Webhook,
    "flowzz_connection_types": ConnectionType,
    "flowzz_migrations": Migrations,
    "flowzz_sandboxes": Sandbox,
    "flowzz_commands": click.Command,
    "flowzz_data_sources": DataSource,
    "flowzz_notifiers": Notifier,
    "flowzz_admin_pages": AdminPages,
    "flowzz_public_pages": PublicPages,
}
"""What each hook gives. A test holds it against ``hookspecs``."""

ONE_A_PLUGIN = frozenset(
    {
        "flowzz_webhooks",
        "flowzz_connection_types",
        "flowzz_migrations",
        "flowzz_sandboxes",
        "flowzz_admin_pages",
        "flowzz_public_pages",
    }
)


@dataclass(frozen=True, slots=True)
class Contributed:
    """Everything one plugin gave, checked and stamped with its distribution."""

    plugin: Plugin
    candidate: Candidate
    jobs: tuple[JobDefinition[Any, Any], ...]
    schedules: tuple[Schedule, ...]
    queue_limits: tuple[QueueLimits, ...]
    webhooks: tuple[Webhook, ...]
    connection_types: tuple[ConnectionType, ...]
    migrations: tuple[Migrations, ...]
    sandboxes: tuple[Sandbox, ...]
    commands: tuple[click.Command, ...]
    data_sources: tuple[DataSource, ...]
    notifiers: tuple[Notifier, ...]
    admin_pages: tuple[AdminPages, ...]
    public_pages: tuple[PublicPages, ...]


def load(candidate: Candidate) -> Contributed:
    """Walk one plugin through every step. Raises Rejected with the state it ends in, and nothing else."""
    # Guarded as a whole too: even the repr of what a plugin gave may raise.
    return guarded(partial(_load, candidate), PluginState.INVALID_CONFIG)


def _load(candidate: Candidate) -> Contributed:
    guarded(candidate.check, PluginState.INCOMPATIBLE)
    plugin = _plugin(candidate, guarded(candidate.load, PluginState.IMPORT_ERROR))
    hooks = _hooks(plugin)
    given = {hook: tuple(_ask(hooks, hook, plugin, candidate)) for hook in KINDS}
    return Contributed(plugin, candidate, *given.values())


def guarded(step: Callable[[], T], state: PluginState) -> T:
    """What ``step`` returns; whatever it raises becomes Rejected with its traceback.

    That includes SystemExit, which a module may well raise at import. Only a Ctrl-C passes.
    """
    try:
        return step()
    except (Rejected, KeyboardInterrupt):
        raise
    except ConfigurationError as error:
        raise Rejected(PluginState.INVALID_CONFIG, _trace(error)) from None
    except BaseException as error:  # noqa: BLE001 - third-party code: see above
        raise Rejected(state, _trace(error)) from None


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-30, chain=True)).rstrip()


def _plugin(candidate: Candidate, loaded: object) -> Plugin:
    if not isinstance(loaded, Plugin):
        raise _invalid(f"expected its entry point to be a flowzz.plugins.contributions.Plugin, got {loaded!r:.200}")
    if not isinstance(loaded.name, str) or not PLUGIN_NAME.match(loaded.name) or loaded.name in RESERVED_NAMES:
        reserved = ", ".join(sorted(RESERVED_NAMES))
        raise _invalid(
            "expected a plugin name of lower-case letters, digits and '_', at most 40, and none of "
            f"{reserved}; got {loaded.name!r}"
        )
    if loaded.name != candidate.name:
        raise _invalid(f"its entry point is called {candidate.name!r}, its plugin {loaded.name!r}; make them the same")
    try:
        wanted = SpecifierSet(loaded.api)
    except (InvalidSpecifier, TypeError, AttributeError):
        raise _invalid(f"expected api to be a version specifier such as '>=1,<2', got {loaded.api!r}") from None
    if not wanted.contains(API_VERSION, prereleases=True):
        raise Rejected(
            PluginState.INCOMPATIBLE,
            f"it works with plugin API {loaded.api}, this Flowzz has {API_VERSION}; install a release of it that fits",
        )
    return loaded


def _hooks(plugin: Plugin) -> pluggy.PluginManager:
    """A manager that knows this plugin alone, so that a failing hook is nobody else's."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    guarded(lambda: manager.register(plugin.hooks, name=plugin.name), PluginState.INVALID_CONFIG)
    for caller in manager.get_hookcallers(plugin.hooks) or ():
        if caller.name not in KINDS:
            hint = nearest(caller.name, KINDS)
            raise _invalid(f"there is no hook {caller.name!r}" + (f"; did you mean {hint!r}?" if hint else ""))
    return manager


def _ask(hooks: pluggy.PluginManager, hook: str, plugin: Plugin, candidate: Candidate) -> Iterator[Any]:
    # A hook that is a generator raises only when it is read, so reading belongs to the guarded step.
    call = getattr(hooks.hook, hook)
    answers = guarded(lambda: [_listed(hook, answer) for answer in call()], PluginState.UNHEALTHY)
    items = [item for answer in answers for item in answer]
    if hook in ONE_A_PLUGIN and len(items) > 1:
        raise _invalid(f"{hook}: expected at most one, got {len(items)}")
    for item in items:
        if not isinstance(item, KINDS[hook]):
            raise _invalid(f"{hook}: expected {KINDS[hook].__name__}, got {item!r:.200}")
        guarded(partial(check_item, plugin.name, item), PluginState.INVALID_CONFIG)
        yield item if isinstance(item, click.Command) else replace(item, source=candidate.distribution)


def _listed(hook: str, answer: object) -> list[Any]:
    if isinstance(answer, str | bytes) or not isinstance(answer, Sequence):
        raise _invalid(f"{hook}: expected a list of {KINDS[hook].__name__}, got {answer!r:.200}")
    return list(answer)


def _invalid(problem: str) -> Rejected:
    return Rejected(PluginState.INVALID_CONFIG, problem)

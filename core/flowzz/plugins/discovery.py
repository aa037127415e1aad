"""Finding plugins among the installed distributions, without importing any of them.

The distributions are walked one by one: the standard library's list of all entry points fails as a whole when one
installed package has a damaged one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distributions, version
from pkgutil import resolve_name
from typing import NoReturn

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from flowzz.errors import ConfigurationError
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.states import PluginState, Rejected

HOST = "flowzz"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that says it is a plugin. ``check`` and ``load`` raise Rejected, or whatever its code raises.

    ``check`` runs before ``load`` and imports nothing.
    """

    name: str
    distribution: str
    version: str
    check: Callable[[], None]
    load: Callable[[], object]


def installed(group: str) -> list[Candidate]:
    """Every entry point of ``group``, of each distribution once; by name, the rightful owner of a name first.

    When two distributions claim one name, ``flowzz-<name>`` goes before any other, then the alphabet decides.
    """
    found: list[Candidate] = []
    seen: set[str] = set()
    for distribution in distributions():
        name = _name_of(distribution)
        # The first on the path is the one that would be imported.
        if name not in seen:
            seen.add(name)
            found.extend(_candidates(distribution, name, group))
    return sorted(found, key=lambda one: (one.name, one.distribution != f"{HOST}-{one.name}", one.distribution))


def referred(reference: str) -> Plugin:
    """The plugin at ``module:attribute``. Raises ConfigurationError, or whatever its module raises."""
    try:
        plugin = resolve_name(reference)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigurationError(f"no plugin at {reference!r} (module:attribute): {error}") from error
    if not isinstance(plugin, Plugin):
        raise ConfigurationError(f"expected a Plugin at {reference!r}, got {plugin!r:.200}")
    return plugin


def given(plugin: Plugin) -> Candidate:
    """A plugin object at hand, as if a distribution of its own name had brought it."""
    return Candidate(plugin.name, plugin.name, "0", _nothing_to_check, lambda: plugin)


def _candidates(distribution: Distribution, name: str, group: str) -> Iterator[Candidate]:
    release = _version_of(distribution)
    try:
        entries = [entry for entry in distribution.entry_points if entry.group == group]
    except Exception as error:  # noqa: BLE001 - whatever a damaged package makes the parser raise
        if group in (distribution.read_text("entry_points.txt") or ""):
            yield _unreadable(name, release, error)
        return
    for entry in entries:
        yield Candidate(entry.name, name, release, _fence(distribution), _loader(entry))


def _unreadable(name: str, release: str, error: Exception) -> Candidate:
    def refuse() -> NoReturn:
        raise Rejected(PluginState.IMPORT_ERROR, f"entry_points.txt of {name} cannot be read: {error!r}")

    return Candidate(name.removeprefix(f"{HOST}-"), name, release, refuse, refuse)


def _loader(entry: EntryPoint) -> Callable[[], object]:
    return lambda: entry.load()


def _fence(distribution: Distribution) -> Callable[[], None]:
    """Refuses a distribution whose own requirement of Flowzz this Flowzz does not meet.

    pip only warns about that, and the import that then fails would hide the reason.
    """

    def check() -> None:
        present = _host_version()
        for requirement in _host_requirements(distribution):
            if present is not None and not requirement.specifier.contains(present, prereleases=True):
                raise Rejected(
                    PluginState.INCOMPATIBLE,
                    f"it requires {requirement}, this is Flowzz {present}; install a version of it for this Flowzz",
                )

    return check


def _host_requirements(distribution: Distribution) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if canonicalize_name(requirement.name) == HOST and applies:
            yield requirement


def _host_version() -> str | None:
    try:
        return version(HOST)
    except PackageNotFoundError:
        return None


def _name_of(distribution: Distribution) -> str:
    try:
        return canonicalize_name(distribution.name)
    except Exception:  # noqa: BLE001 - a distribution without metadata; its folder still tells it apart
        return f"unnamed distribution at {distribution.locate_file('')}"


def _version_of(distribution: Distribution) -> str:
    try:
        return distribution.version or "unknown"
    except Exception:  # noqa: BLE001 - as above
        return "unknown"


def _nothing_to_check() -> None:
    pass

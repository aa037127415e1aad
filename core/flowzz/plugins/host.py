"""The plugins of this process: who they are, what they brought, and what is wrong with the ones that did not load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import click
import structlog

from flowzz.errors import UnknownJob
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
from flowzz.plugins.discovery import Candidate, given, installed, referred
from flowzz.plugins.loading import Contributed, load
from flowzz.plugins.states import PluginRecord, PluginState, Rejected
from flowzz.plugins.threads import started_since, threads
from flowzz.settings import Settings

GROUP = "flowzz.plugins"

log = structlog.get_logger("flowzz.plugins")


class PluginHost:
    """What all loaded plugins contribute, by name. Built once, never changed; safe to share between threads.

    ``records`` tells of every plugin found, loaded or not, by name. ``given`` holds what it was made ``of``, None when
    it discovered the installed ones: from references another process makes the same host.
    """

    def __init__(self, records: Iterable[PluginRecord], loaded: Iterable[Contributed]) -> None:
        parts = tuple(loaded)
        self.given: tuple[Plugin | str, ...] | None = None
        self.records = tuple(records)
        self.jobs: Mapping[str, JobDefinition[Any, Any]] = _by_name(job for part in parts for job in part.jobs)
        self.queues = tuple(sorted({job.queue for job in self.jobs.values()}))
        self.schedules: Mapping[str, Schedule] = _by_name(one for part in parts for one in part.schedules)
        self.queue_limits: Mapping[str, QueueLimits] = MappingProxyType(
            {one.queue: one for part in parts for one in part.queue_limits}
        )
        self.webhooks: Mapping[str, Webhook] = _by_plugin(one for part in parts for one in part.webhooks)
        self.connection_types: Mapping[str, ConnectionType] = _by_plugin(
            one for part in parts for one in part.connection_types
        )
        self.migrations: tuple[Migrations, ...] = tuple(one for part in parts for one in part.migrations)
        self.sandboxes: Mapping[str, Sandbox] = _by_plugin(one for part in parts for one in part.sandboxes)
        self.commands: tuple[click.Command, ...] = tuple(one for part in parts for one in part.commands)
        self.data_sources: Mapping[str, DataSource] = _by_name(one for part in parts for one in part.data_sources)
        self.notifiers: Mapping[str, Notifier] = _by_name(one for part in parts for one in part.notifiers)
        self.admin_pages: Mapping[str, AdminPages] = _by_plugin(one for part in parts for one in part.admin_pages)
        self.public_pages: Mapping[str, PublicPages] = _by_plugin(one for part in parts for one in part.public_pages)

    @classmethod
    def discover(cls, settings: Settings, *, group: str = GROUP) -> PluginHost:
        """Load every installed plugin that is not disabled.

        Never raises for a broken plugin, whatever its code does at import: it contributes nothing, its record
        holds its state and the traceback, and the others load.
        """
        disabled = {name.strip() for name in settings.disabled_plugins.split(",")}
        return cls(*_assemble(installed(group), disabled))

    @classmethod
    def of(cls, plugins: Sequence[Plugin | str]) -> PluginHost:
        """These plugins alone, by the same steps, without looking at what is installed. For tests.

        A plugin whose jobs have processes of their own is named, as ``module:attribute``: objects do not travel.
        Raises ConfigurationError when there is no plugin at a reference, and whatever its module raises.
        """
        host = cls(*_assemble((given(referred(one) if isinstance(one, str) else one) for one in plugins), set()))
        host.given = tuple(plugins)
        return host

    def job(self, name: str) -> JobDefinition[Any, Any]:
        """The job of that name; UnknownJob, with the nearest name, when no loaded plugin has it."""
        try:
            return self.jobs[name]
        except KeyError:
            raise UnknownJob(name, self.jobs) from None


def _assemble(candidates: Iterable[Candidate], disabled: set[str]) -> tuple[list[PluginRecord], list[Contributed]]:
    records: list[PluginRecord] = []
    loaded: list[Contributed] = []
    before = threads()
    for candidate in candidates:
        try:
            if candidate.name in disabled:
                raise Rejected(PluginState.DISABLED, "named in FLOWZZ_DISABLED_PLUGINS")
            _refuse_taken_namespace(candidate, loaded)
            contributed = load(candidate)
            _refuse_taken_names(contributed, loaded)
        except Rejected as rejection:
            records.append(replace(_rejected(candidate, rejection), threads=started_since(before)))
        else:
            records.append(replace(_accepted(contributed), threads=started_since(before)))
            loaded.append(contributed)
        before = threads()
    _withdraw_dangling(records, loaded)
    return records, loaded


def _refuse_taken_namespace(candidate: Candidate, loaded: Sequence[Contributed]) -> None:
    for other in loaded:
        if other.plugin.name == candidate.name:
            raise Rejected(
                PluginState.CONFLICT,
                f"the plugin name {candidate.name!r} is claimed by both {other.candidate.distribution} (in use) and "
                f"{candidate.distribution}; uninstall one of them",
            )


def _refuse_taken_names(new: Contributed, loaded: Sequence[Contributed]) -> None:
    """A job or schedule declared twice (only its own plugin can), or a command that another plugin has."""
    for kind, names in _names(new).items():
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise Rejected(
                PluginState.CONFLICT, f"{kind} {twice[0]!r} is declared twice by {new.candidate.distribution}"
            )
        for other in loaded:
            taken = sorted(set(names) & set(_names(other)[kind]))
            if taken:
                raise Rejected(
                    PluginState.CONFLICT,
                    f"{kind} {taken[0]!r} is declared by both {other.candidate.distribution} (in use) and "
                    f"{new.candidate.distribution}",
                )


def _names(part: Contributed) -> dict[str, list[str]]:
    return {
        "job": [job.name for job in part.jobs],
        "schedule": [schedule.name for schedule in part.schedules],
        "limit of queue": [limits.queue for limits in part.queue_limits],
        "data source": [source.name for source in part.data_sources],
        "notifier": [notifier.name for notifier in part.notifiers],
        "command": [command.name or "" for command in part.commands],
    }


def _withdraw_dangling(records: list[PluginRecord], loaded: list[Contributed]) -> None:
    """Take out plugins with a schedule whose job nobody has; again, since others may have relied on theirs."""
    while dangling := next(_dangling(loaded), None):
        part, schedule = dangling
        loaded.remove(part)
        known = UnknownJob(schedule.job, [job.name for other in loaded for job in other.jobs])
        reason = f"schedule {schedule.name!r} of {part.candidate.distribution} cannot run: {known}"
        place = next(at for at, record in enumerate(records) if _is_record_of(record, part))
        rejected = _rejected(part.candidate, Rejected(PluginState.CONFLICT, reason))
        records[place] = replace(rejected, title=part.plugin.title, threads=records[place].threads)


def _dangling(loaded: Sequence[Contributed]) -> Iterator[tuple[Contributed, Schedule]]:
    jobs = {job.name for part in loaded for job in part.jobs}
    for part in loaded:
        for schedule in part.schedules:
            if schedule.job not in jobs:
                yield part, schedule


def _is_record_of(record: PluginRecord, part: Contributed) -> bool:
    identity = (part.plugin.name, part.candidate.distribution, PluginState.LOADED)
    return (record.name, record.distribution, record.state) == identity


def _accepted(part: Contributed) -> PluginRecord:
    return PluginRecord(
        name=part.plugin.name,
        title=part.plugin.title,
        distribution=part.candidate.distribution,
        version=part.candidate.version,
        state=PluginState.LOADED,
        jobs=tuple(job.name for job in part.jobs),
        schedules=tuple(schedule.name for schedule in part.schedules),
    )


def _rejected(candidate: Candidate, rejection: Rejected) -> PluginRecord:
    if rejection.state is not PluginState.DISABLED:
        log.warning(
            "plugin not loaded",
            plugin=candidate.name,
            distribution=candidate.distribution,
            state=rejection.state.value,
            problem=rejection.problem,
        )
    return PluginRecord(
        name=candidate.name,
        title=candidate.name,
        distribution=candidate.distribution,
        version=candidate.version,
        state=rejection.state,
        problem=rejection.problem,
    )


def _by_name(items: Iterable[Any]) -> Mapping[str, Any]:
    return MappingProxyType({item.name: item for item in items})


def _by_plugin(items: Iterable[Any]) -> Mapping[str, Any]:
    return MappingProxyType({item.plugin: item for item in items})

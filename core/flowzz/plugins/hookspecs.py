"""Every hook a plugin may implement, on one page.

All of them run once, while plugins load, in each process that starts (worker, scheduler, web, CLI). They return
values and do nothing else: no network, no database, no threads. One that raises marks its own plugin as broken,
with the traceback on record, and stops nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from flowzz.jobs.definition import JobDefinition
    from flowzz.plugins.contributions import (
        AdminPages,
        ConnectionType,
        DataSource,
        Migrations,
        Notifier,
        PublicPages,
        QueueLimits,
        Sandbox,
        Schedule,
        Webhook,
    )

PROJECT = "flowzz"
API_VERSION = "1.2"
"""The version of this page. Adding a hook raises the minor, removing or changing one the major."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    @hookspec
    def flowzz_jobs(self) -> Sequence[JobDefinition]:  # type: ignore[empty-body, type-arg]
        """The jobs this plugin can run. Names start with ``<plugin>.``; their queues come into being with them."""

    @hookspec
    def flowzz_schedules(self) -> Sequence[Schedule]:  # type: ignore[empty-body]
        """What runs by the clock. A schedule whose job nobody registers is a conflict."""

    @hookspec
    def flowzz_queue_limits(self) -> Sequence[QueueLimits]:  # type: ignore[empty-body]
        """How fast whole queues are worked off. A queue that two plugins limit is a conflict. Since 1.1."""

    @hookspec
    def flowzz_webhooks(self) -> Sequence[Webhook]:  # type: ignore[empty-body]
        """What upstreams may post to ``/webhooks/<plugin>/<token>``; one a plugin."""

    @hookspec
    def flowzz_connection_types(self) -> Sequence[ConnectionType]:  # type: ignore[empty-body]
        """What a company must give to be connected; one a plugin."""

    @hookspec
    def flowzz_migrations(self) -> Sequence[Migrations]:  # type: ignore[empty-body]
        """The plugin's own tables."""

    @hookspec
    def flowzz_sandboxes(self) -> Sequence[Sandbox]:  # type: ignore[empty-body]
        """An upstream to play with."""

    @hookspec
    def flowzz_commands(self) -> Sequence[click.Command]:  # type: ignore[empty-body]
        """Commands under ``flowzz``, usually one group named like the plugin."""

    @hookspec
    def flowzz_data_sources(self) -> Sequence[DataSource]:  # type: ignore[empty-body]
        """Rows that other plugins may read, found by their topic (``ctx.data_sources``). Since 1.2."""

    @hookspec
    def flowzz_notifiers(self) -> Sequence[Notifier]:  # type: ignore[empty-body]
        """Who carries ``ctx.notify`` to people. Since 1.2."""

    @hookspec
    def flowzz_admin_pages(self) -> Sequence[AdminPages]:  # type: ignore[empty-body]
        """Pages of the plugin's own in the admin, under ``/admin/plugins/<plugin>/``; one a plugin. Since 1.2."""

    @hookspec
    def flowzz_public_pages(self) -> Sequence[PublicPages]:  # type: ignore[empty-body]
        """Pages that need no login, under ``/public/<plugin>/``; one a plugin. Since 1.2."""

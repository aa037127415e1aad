"""Gives a notification to every notifier; one that fails stops neither the others nor the job that tells."""

from __future__ import annotations

import structlog

from flowzz.jobs.context import EnqueuePort, StorePort
from flowzz.jobs.notifications import Notification, Notified
from flowzz.plugins.host import PluginHost

ERROR_LIMIT = 500

log = structlog.get_logger("flowzz.plugins")


def notify_all(plugins: PluginHost, notification: Notification, store: StorePort, queue: EnqueuePort) -> Notified:
    """Who took it, and what the others raised; in the order of the notifiers' names."""
    taken: list[str] = []
    failed: dict[str, str] = {}
    for name, notifier in sorted(plugins.notifiers.items()):
        try:
            if notifier.notify(notification, store, queue):
                taken.append(name)
        except Exception as error:  # plugin code; the job that tells has done its work
            failed[name] = f"{type(error).__name__}: {error}"[:ERROR_LIMIT]
            log.exception("a notifier failed", notifier=name, distribution=notifier.source, kind=notification.kind)
    return Notified(tuple(taken), failed)

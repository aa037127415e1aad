"""Flowzz: plugin-based background jobs on Redis.

What a plugin needs, in one import::

    from flowzz import JobContext, Payload, Plugin, Result, hookimpl, job
"""

from __future__ import annotations

from flowzz.errors import (
    ConnectionInactive,
    FlowzzError,
    InvalidRequest,
    JobCrashed,
    JobSignal,
    JobTimeout,
    MemoryLimitExceeded,
    NeedsCredentials,
    Permanent,
    QueueUnavailable,
    ReleaseJob,
    RetryLater,
    RunEnded,
    Snoozed,
    Throttled,
)
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.context import EnqueuePort, HostPort, JobContext, StorePort
from flowzz.jobs.definition import JobDefinition, job
from flowzz.jobs.duplicates import Debounce, Throttle, Unique
from flowzz.jobs.notifications import Notification, Notified
from flowzz.jobs.options import Batch, Enqueued, EnqueueOptions, Submission
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.retry import Custom, Exponential, Fixed, Linear, Listed, NoRetry, RetryPolicy
from flowzz.jobs.sources import DataColumn, DataSource
from flowzz.plugins.contributions import (
    AdminPages,
    ConnectionType,
    DemoSession,
    Migrations,
    MissedTick,
    Notifier,
    Overlap,
    Plugin,
    PublicPages,
    Sandbox,
    Schedule,
    Webhook,
    WebhookReply,
    WebhookRequest,
)
from flowzz.plugins.hookspecs import hookimpl

__all__ = [
    "AdminPages",
    "Batch",
    "Connection",
    "ConnectionInactive",
    "ConnectionState",
    "ConnectionType",
    "Custom",
    "DataColumn",
    "DataSource",
    "Debounce",
    "DemoSession",
    "EnqueueOptions",
    "EnqueuePort",
    "Enqueued",
    "Exponential",
    "Fixed",
    "FlowzzError",
    "HostPort",
    "InvalidRequest",
    "JobContext",
    "JobCrashed",
    "JobDefinition",
    "JobSignal",
    "JobTimeout",
    "Linear",
    "Listed",
    "MemoryLimitExceeded",
    "Migrations",
    "MissedTick",
    "NeedsCredentials",
    "NoRetry",
    "Notification",
    "Notified",
    "Notifier",
    "Overlap",
    "Payload",
    "Permanent",
    "Plugin",
    "PublicPages",
    "QueueUnavailable",
    "ReleaseJob",
    "Result",
    "RetryLater",
    "RetryPolicy",
    "RunEnded",
    "Sandbox",
    "Schedule",
    "Snoozed",
    "StorePort",
    "Submission",
    "Throttle",
    "Throttled",
    "Unique",
    "Webhook",
    "WebhookReply",
    "WebhookRequest",
    "hookimpl",
    "job",
]

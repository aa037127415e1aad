"""What a job has to tell a person, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Something a user of a company should hear about; notifiers of plugins carry it there.

    - ``kind``: what it is about, such as ``report.ready``; a notifier may take only some kinds.
    - ``link``: where to go on, an absolute URL or a path of this installation, or None.
    - ``data``: plain JSON for notifiers that make a text of their own.
    - ``key``: says which notification this is. The same key again is the same notification: a notifier sends it once,
      though the job that tells it may run twice.
    """

    kind: str
    company_id: str | None
    user_id: str | None
    title: str
    text: str
    key: str
    link: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notified:
    """What the notifiers did: the names of those that took it, and the error of each that raised, by name."""

    taken: tuple[str, ...]
    failed: Mapping[str, str]

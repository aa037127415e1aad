"""What tests of plugins need: the smallest things that can run a handler, and a sandbox that is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Flask

from flowzz.errors import QueueUnavailable
from flowzz.jobs.notifications import Notification, Notified
from flowzz.jobs.sources import DataSource
from support.serving import serving


@dataclass
class Recorder:
    """A ReporterPort that keeps what was reported. ``on_checkpoint`` may raise, as a crash would."""

    checkpoint: Any = None
    lines: list[str] = field(default_factory=list)
    progressed: list[tuple[float, str]] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    stop_requested: bool = False
    cancel_requested: bool = False
    lease_lost: bool = False
    on_checkpoint: Callable[[Any], None] = lambda value: None

    def report(
        self, *, progress: tuple[float, str] | None = None, log: Sequence[str] = (), checkpoint: Any = None
    ) -> None:
        self.lines.extend(log)
        if progress is not None:
            self.progressed.append(progress)
        if checkpoint is not None:
            self.checkpoint = checkpoint
            self.checkpoints.append(checkpoint)
            self.on_checkpoint(checkpoint)

    def recall(self) -> Mapping[str, str]:
        return self.steps

    def remember(self, name: str, result: str) -> None:
        self.steps[name] = result


@dataclass
class Queue:
    """A HostPort that keeps what was enqueued, or is away; no other plugin is there."""

    jobs: list[tuple[str, Any, str | None]] = field(default_factory=list)
    away: bool = False

    def enqueue(self, job: str, payload: Any, options: Any = None) -> str:
        if self.away:
            raise QueueUnavailable
        self.jobs.append((job, payload, options.job_id))
        return str(options.job_id)

    def data_sources(self, topic: str) -> tuple[DataSource, ...]:
        return ()

    def notify(self, notification: Notification) -> Notified:
        return Notified((), {})


@contextmanager
def serving_sandbox(blueprint: Blueprint, name: str) -> Iterator[str]:
    """The address of a sandbox in the block, mounted as the host mounts it."""
    app = Flask("sandbox")
    app.register_blueprint(blueprint, url_prefix=f"/{name}")
    with serving(app) as url:
        yield f"{url}/{name}"

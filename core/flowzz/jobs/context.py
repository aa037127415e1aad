"""What a handler gets beside its payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from flowzz.errors import ConnectionInactive, JobCanceled, LeaseLost, Permanent, ReleaseJob, Snoozed
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.notifications import Notification, Notified
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.sources import DataSource
from flowzz.jobs.state import JobState
from flowzz.jobs.steps import StepMemory, Steps

if TYPE_CHECKING:
    from pydantic import BaseModel
    from sqlalchemy.orm import Session

    from flowzz.settings import Settings

Result = TypeVar("Result")


class StorePort(Protocol):
    """The database as handlers, webhooks and schedules may use it; ``flowzz.store.Store`` is one."""

    def session(self) -> AbstractContextManager[Session]:
        """A session that commits when the block ends and rolls back when it raises."""
        ...

    def write(self, work: Callable[[Session], Result]) -> Result:
        """What ``work`` returns, committed; the cheapest way to make short writes from many threads.

        ``work`` is a few statements that could be run again from the start; on SQLite several threads' are committed
        together. It returns plain values and calls nothing that waits.
        """
        ...

    def snapshot(self, *, temporary: bool = False) -> AbstractContextManager[Session]:
        """A session that only reads, keeps no writer waiting however long it takes, and sees one moment throughout.

        With ``temporary`` it may make temporary tables; roll it back in the end.
        """
        ...

    def connection(self, company_id: str, plugin: str) -> Connection:
        """The company's connection to the plugin's upstream, whatever its state.

        Raises NotFound when the company has none. Of several, the oldest.
        """
        ...

    def note_success(self, connection_id: str) -> None:
        """A job completed with the connection just now."""
        ...

    def connection_by_id(self, connection_id: str) -> Connection:
        """The connection with that id; NotFound when there is none."""
        ...

    def connections(
        self, plugin: str, *, active_only: bool = True, company_id: str | None = None
    ) -> Sequence[Connection]:
        """Every company's connections to the plugin's upstream, or one company's, oldest first."""
        ...

    def set_connection_state(self, connection_id: str, state: ConnectionState, reason: str | None) -> None:
        """Pause a connection that a person has to look at, and say why; NotFound when there is none.

        For refused credentials raise NeedsCredentials instead.
        """
        ...


class EnqueuePort(Protocol):
    """How a handler, a webhook, a notifier or a demo puts a job into its queue."""

    def enqueue(self, job: str, payload: Mapping[str, Any] | BaseModel, options: EnqueueOptions | None = None) -> str:
        """Validate and enqueue in one script call; the job's id.

        Raises UnknownJob, InvalidPayload, DuplicateJob, PayloadTooLarge or QueueUnavailable; then nothing was
        stored.
        """
        ...


class HostPort(EnqueuePort, Protocol):
    """What a handler may ask of the installation it runs in; ``flowzz.app.Flowzz`` is one."""

    @property
    def settings(self) -> Settings:
        """The settings of the installation."""
        ...

    def data_sources(self, topic: str) -> tuple[DataSource, ...]:
        """What loaded plugins offer on that topic, by name."""
        ...

    def job_states(self, ids: Sequence[str]) -> Mapping[str, JobState]:
        """How those jobs stand; one that is gone is left out. Raises QueueUnavailable."""
        ...

    def notify(self, notification: Notification) -> Notified:
        """Give it to every notifier of every loaded plugin. Never raises for what a notifier raises."""
        ...


class ReporterPort(StepMemory, Protocol):
    """How a running execution reports; each call is one script that counts only while the lease is held."""

    def report(
        self,
        *,
        progress: tuple[float, str] | None = None,
        log: Sequence[str] = (),
        checkpoint: Any = None,
    ) -> None:
        """Store what is given. Raises LeaseLost when another execution has the job by now."""
        ...

    @property
    def stop_requested(self) -> bool:
        """True once this worker is asked to stop: a good moment to checkpoint."""
        ...

    @property
    def cancel_requested(self) -> bool: ...

    @property
    def lease_lost(self) -> bool: ...


@dataclass(slots=True)
class JobContext:
    """One execution of one job. A handler's first argument.

    ``attempt`` counts from 1; ``company_id`` is the payload's ``empresaId`` or None.
    """

    job_id: str
    job_name: str
    queue: str
    company_id: str | None
    attempt: int
    max_attempts: int
    worker: str
    store: StorePort
    host: HostPort
    reporter: ReporterPort
    restored: Any = None
    used: dict[str, Connection] = field(default_factory=dict)
    """Connections that ``connection`` gave to this run, by id."""
    _steps: Steps | None = None

    @property
    def settings(self) -> Settings:
        """The installation's settings: its folder, its address, its keys (``flowzz.store.keys.load_keys``)."""
        return self.host.settings

    @property
    def checkpoint(self) -> Any:
        """What an earlier execution of this job saved last (plain JSON), or None."""
        return self.restored

    def save_checkpoint(self, value: Any) -> None:
        """Remember ``value`` (plain JSON): a retry, or the run after a crash, finds it in ``checkpoint``.

        Returns once Redis has it. Raises LeaseLost when another worker has the job by now.
        """
        self.reporter.report(checkpoint=value)
        self.restored = value

    def progress(self, percent: float, note: str = "") -> None:
        """Show that ``percent`` (0 to 100) is done. Raises LeaseLost like ``save_checkpoint``."""
        self.reporter.report(progress=(max(0.0, min(100.0, float(percent))), note))

    def log(self, message: str) -> None:
        """Add a line to the job's own log (the last 1,000 are kept; a line is cut at 2,000 characters)."""
        self.reporter.report(log=[message])

    @property
    def canceled(self) -> bool:
        """True once somebody canceled this job; a long handler looks now and then."""
        return self.reporter.cancel_requested

    @property
    def stopping(self) -> bool:
        """True once this worker is asked to stop."""
        return self.reporter.stop_requested

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do ``function(*args, **kwargs)`` once in the life of the job, however often the job runs.

        Its result (a pydantic model or plain JSON, at most 256 KiB) is remembered under ``name`` and given back, as
        plain JSON, to every later run: a retry, a rescue or a replay does not repeat a step that finished. What it
        raises passes through, and the step is done again next time; so is one whose worker died before Redis had the
        result, so a step that sends should be safe to send twice. Raises DuplicateStep for a name used before in
        this run, and LeaseLost when another worker has the job by now.
        """
        if self._steps is None:
            self._steps = Steps(self.reporter)
        return self._steps.run(name, function, args, kwargs)

    def connection(self, plugin: str, connection_id: str | None = None) -> Connection:
        """The company's active connection to the plugin's upstream: that one, or the oldest that is active.

        Raises Permanent when there is none, and ConnectionInactive, upon which the job waits, when none is active.
        When the run completes, the connection's ``succeeded_at`` says so.
        """
        if self.company_id is None:
            raise Permanent(f"job {self.job_name} needs an empresaId to find a connection to {plugin}")
        found = [
            one
            for one in self.store.connections(plugin, active_only=False, company_id=self.company_id)
            if connection_id in (None, one.id)
        ]
        if not found:
            which = f"no connection {connection_id}" if connection_id else "no connection"
            raise Permanent(
                f"company {self.company_id} has {which} to {plugin}; add one with: "
                f"flowzz connections add --plugin {plugin} --company {self.company_id}"
            )
        active = next((one for one in found if one.state is ConnectionState.ACTIVE), None)
        if active is None:
            raise ConnectionInactive(found[0].id, _why_inactive(found[0]))
        self.used[active.id] = active
        return active

    def enqueue(self, job: str, payload: Mapping[str, Any] | BaseModel, options: EnqueueOptions | None = None) -> str:
        """Put another job into its queue; its id. Errors are those of EnqueuePort, and LeaseLost.

        This job may run twice. So that the other does not, give ``options`` a ``job_id`` made of something lasting
        (this job's id, say) and a ``nonce``.
        """
        self._raise_if_lost()
        return self.host.enqueue(job, payload, options)

    def job_states(self, ids: Sequence[str]) -> Mapping[str, JobState]:
        """How other jobs stand, by id; one that was removed, or whose retention has passed, is left out.

        For rows of a plugin's own that a job was to bring to an end, and did not: it may have been canceled. Raises
        QueueUnavailable.
        """
        return self.host.job_states(ids)

    def data_sources(self, topic: str) -> tuple[DataSource, ...]:
        """The data of other plugins on that topic, by name; empty when nothing that offers it is installed."""
        return self.host.data_sources(topic)

    def notify(self, notification: Notification) -> tuple[str, ...]:
        """Tell a person; the names of the notifiers that took it, empty when none did.

        A notifier that raises is logged, here and in this job's log, and stops neither the others nor the job.
        """
        self._raise_if_lost()
        notified = self.host.notify(notification)
        if notified.failed:
            self.reporter.report(log=[f"notifier {name} failed: {error}" for name, error in notified.failed.items()])
        return notified.taken

    def snooze(self, after: timedelta, reason: str | None = None) -> NoReturn:
        """Stop here and run again after ``after``; no attempt is used up, checkpoint and steps stay. Raises Snoozed."""
        raise Snoozed(after, reason)

    def raise_if_stopping(self, reason: str | None = None) -> None:
        """Raises ReleaseJob once this worker is asked to stop: the job goes back to the front, no attempt used."""
        if self.stopping:
            raise ReleaseJob(reason)

    def raise_if_canceled(self) -> None:
        """Raises JobCanceled once somebody canceled the job, LeaseLost once another worker has it."""
        self._raise_if_lost()
        if self.reporter.cancel_requested:
            raise JobCanceled

    def _raise_if_lost(self) -> None:
        if self.reporter.lease_lost:
            raise LeaseLost


def _why_inactive(one: Connection) -> str:
    remedy = "store new credentials in it" if one.state is ConnectionState.NEEDS_CREDENTIALS else "resume it"
    why = f" ({one.state_reason})" if one.state_reason else ""
    state = one.state.value.replace("_", " ")
    return f"{one.plugin} connection {one.id} of company {one.company_id} is {state}{why}; {remedy} to go on"

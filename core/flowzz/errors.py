"""Every error Flowzz raises on purpose, grouped by who must act.

    FlowzzError
    ├── ConfigurationError          the operator: a setting is missing, default or wrong
    ├── InvalidRequest              the caller sent something we refuse
    │   ├── InvalidPayload              ... a payload that the job's model rejects (names the field)
    │   ├── InvalidConnection           ... fields that a plugin's connection model rejects (names them)
    │   ├── ConnectionTestFailed        ... a connection that its upstream does not accept
    │   ├── ConnectionChanged           ... a connection that somebody else changed meanwhile
    │   ├── UnknownJob                  ... a job name nobody registered (names the nearest)
    │   ├── UnknownQueue                ... a queue nobody registered
    │   ├── UnknownSchedule             ... a schedule nobody registered
    │   ├── UnknownLimit                ... a limit that no job declares
    │   ├── JobNotFound                 ... a job id that is not (or no longer) stored
    │   ├── BatchNotFound               ... a batch id that is not (or no longer) stored
    │   ├── DuplicateJob                ... an id that another job (or batch) already has
    │   ├── ParentNotFound              ... a parent that is not (or no longer) stored
    │   ├── PayloadTooLarge             ... a payload over the size limit
    │   └── NotAllowedInState           ... an action that the job's state does not admit
    ├── MigrationFailed             the operator: the database's tables could not be brought up to date
    ├── NotFound                    a company, connection or user that is not stored
    ├── QueueUnavailable            Redis cannot be reached or refuses to write
    ├── RunEnded                    a run was ended from outside; what ``retry_on`` may name
    │   ├── JobTimeout                  ... it took longer than its job's timeout
    │   ├── JobCrashed                  ... its process ended without an outcome (names the signal or exit code)
    │   └── MemoryLimitExceeded         ... it needed more than its memory_limit
    └── JobSignal                   raised by a handler: what the runtime does next
        ├── RetryLater                  run again after a time; uses an attempt
        ├── Throttled                   run again after a time; uses no attempt
        ├── Snoozed                     run again after a time, because the handler wants to; uses no attempt
        ├── ReleaseJob                  back to the front of the queue at once, the worker stops; uses no attempt
        ├── Permanent                   fail now, no retry
        │   ├── NeedsCredentials            ... and pause this company's connection
        │   └── DuplicateStep               ... because a handler used one step's name twice in a run
        ├── JobCanceled                 stop here; somebody canceled the job
        └── LeaseLost                   another worker has the job: nothing this one reports counts

A handler that raises anything else is retried by its job's policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Self


class FlowzzError(Exception):
    """Something went wrong in Flowzz."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])

    part: str | None = None
    """What it is about in a request of several jobs: ``jobs.3``, ``callback``."""

    def about(self, part: str) -> Self:
        """Name that part, also in the message; for ``raise``."""
        self.part = part
        return self

    def __str__(self) -> str:
        said = super().__str__()
        return f"{self.part}: {said}" if self.part else said


class ConfigurationError(FlowzzError):
    """A setting is missing or wrong; the message names it and says what was expected."""


class MigrationFailed(FlowzzError):
    """Tables could not be brought up to date; what failed was rolled back.

    ``failures`` maps ``core`` or a plugin's name to its problem; ``ran`` lists the migrations that did succeed.
    """

    def __init__(self, failures: Mapping[str, str], ran: Sequence[str] = ()) -> None:
        self.failures = dict(failures)
        self.ran = list(ran)
        said = "; ".join(f"{name}: {problem}" for name, problem in self.failures.items())
        super().__init__(f"migration failed and was rolled back: {said}")


class QueueUnavailable(FlowzzError):
    """Redis cannot be reached; check REDIS_URL (or REDIS_HOST) and that the server is up."""


class NotFound(FlowzzError):
    """The company, connection or user is not stored."""


class InvalidRequest(FlowzzError):
    """The request was refused; nothing was changed."""


class InvalidPayload(InvalidRequest):
    """The payload does not fit the job's schema.

    ``problems`` holds one mapping a field: ``field`` (the wire name, dotted for nested ones), ``message``
    (what was expected) and ``input`` (what came; left out for secrets).
    """

    def __init__(self, job: str, problems: Sequence[dict[str, Any]]) -> None:
        self.job = job
        self.problems = list(problems)
        said = "; ".join(f"{p['field']}: {p['message']}" for p in self.problems)
        super().__init__(f"payload of {job} refused: {said}")


class InvalidConnection(InvalidRequest):
    """The fields of a connection do not fit its plugin's model.

    ``problems`` holds one mapping a field: ``field`` (the model's name for it) and ``message`` (what was expected).
    """

    def __init__(self, plugin: str, problems: Sequence[dict[str, Any]]) -> None:
        self.problems = list(problems)
        said = "; ".join(f"{p['field']}: {p['message']}" for p in self.problems)
        super().__init__(f"connection to {plugin} refused: {said}")


class ConnectionTestFailed(InvalidRequest):
    """The upstream was asked and said no, or did not answer; ``problem`` is what the plugin's check says."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the connection was tested and does not work: {problem}")


class ConnectionChanged(InvalidRequest):
    """Somebody else changed the connection meanwhile; nothing was stored: look at it, and do it again."""


class UnknownJob(InvalidRequest):
    """No plugin registered a job of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.nearest = nearest(name, known)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"no job is named {name!r}{hint}")


class UnknownQueue(InvalidRequest):
    """No job uses a queue of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.nearest = nearest(name, known)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"no queue is named {name!r}{hint}")


class UnknownSchedule(InvalidRequest):
    """No plugin registered a schedule of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.nearest = nearest(name, known)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"no schedule is named {name!r}{hint}")


class UnknownLimit(InvalidRequest):
    """No job declares a limit of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.nearest = nearest(name, known)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"no limit is named {name!r}{hint}")


class JobNotFound(InvalidRequest):
    """No job has that id: it never existed, was removed, or its retention has passed."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"no job has the id {job_id!r}; it was removed, or its retention has passed")


class DuplicateJob(InvalidRequest):
    """Another job already has that id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"another job already has the id {job_id!r}")


class BatchNotFound(InvalidRequest):
    """No batch has that id: there never was one, or it finished more than seven days ago."""

    def __init__(self, batch_id: str) -> None:
        self.batch_id = batch_id
        super().__init__(f"no batch has the id {batch_id!r} (any more)")


class ParentNotFound(InvalidRequest):
    """A job was to wait for a parent that is not stored, or not any more; nothing was stored."""

    def __init__(self, job_id: str, parents: Sequence[str]) -> None:
        self.job_id = job_id
        self.parents = list(parents)
        super().__init__(
            f"a parent of job {job_id} is not stored (any more): {', '.join(parents)}; enqueue parents and children "
            "together, as a chain, or leave out those that are done"
        )


class PayloadTooLarge(InvalidRequest):
    """The payload is larger than a job may carry; store the data elsewhere and send a reference."""

    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"payload is {size:,} bytes, the limit is {limit:,}; store the data elsewhere and send a reference"
        )


class NotAllowedInState(InvalidRequest):
    """The action does not apply to a job in its present state."""

    def __init__(self, job_id: str, action: str, state: str, allowed: Sequence[str]) -> None:
        self.job_id, self.action, self.state = job_id, action, state
        super().__init__(
            f"cannot {action} job {job_id!r}: it is {state}; {action} applies to {', '.join(allowed)} jobs"
        )


class RunEnded(FlowzzError):
    """A run of a job was ended from outside; it used up an attempt."""


class JobTimeout(RunEnded):
    """The run took longer than its job's timeout."""


class JobCrashed(RunEnded):
    """The job's process ended without an outcome."""


class MemoryLimitExceeded(RunEnded):
    """The job needed more memory than its memory_limit."""


class JobSignal(FlowzzError):
    """Base of what a handler raises to tell the runtime what to do next."""


class RetryLater(JobSignal):
    """Run this job again after ``after``; uses up an attempt, fails when none is left."""

    def __init__(self, after: timedelta, message: str | None = None) -> None:
        self.after = after
        super().__init__(message or f"asked to be retried in {after.total_seconds():g} s")


class Throttled(JobSignal):
    """The upstream asked us to wait ``after``; the job runs again then and no attempt is used up.

    ``hold`` names one of the job's limits: until then nothing else under it starts either (the same ad account, say).
    """

    def __init__(self, after: timedelta, message: str | None = None, *, hold: str | None = None) -> None:
        self.after = after
        self.hold = hold
        super().__init__(message or f"throttled by the upstream for {after.total_seconds():g} s")


class Snoozed(JobSignal):
    """Run this job again after ``after``; no attempt is used up, checkpoint and steps stay. See ``ctx.snooze``."""

    def __init__(self, after: timedelta, message: str | None = None) -> None:
        self.after = after
        super().__init__(message or f"snoozed for {after.total_seconds():g} s")


class ReleaseJob(JobSignal):
    """The worker stops, so the job goes back to the front of its queue at once; no attempt is used up.

    Raised while the worker is not stopping, the job runs again after a second instead, so that it never spins.
    """


class Permanent(JobSignal):
    """Retrying cannot help: the job fails now."""


class NeedsCredentials(Permanent):
    """The upstream refused our credentials; the company's connection pauses until new ones are stored.

    ``connection_id`` names the connection to pause. The job waits, with its checkpoint and without using up an attempt,
    and runs again within seconds of the new credentials; so do the company's other jobs that find it paused.
    """

    def __init__(self, connection_id: str, message: str | None = None) -> None:
        self.connection_id = connection_id
        super().__init__(message)


class ConnectionInactive(JobSignal):
    """The connection is paused or needs credentials: the job waits until it is active again, and uses up no attempt.

    ``connection_id`` names it. ``ctx.connection`` raises this.
    """

    def __init__(self, connection_id: str, message: str | None = None) -> None:
        self.connection_id = connection_id
        super().__init__(message)


class DuplicateStep(Permanent):
    """Two steps of one run have the same name; the second would get the first one's result."""


class JobCanceled(JobSignal):
    """The job was canceled; raised by ``ctx.raise_if_canceled()``."""


class LeaseLost(JobSignal):
    """This worker no longer holds the job's lease; stop, because nothing it reports counts any more."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None when none is close."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None

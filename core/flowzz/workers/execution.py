"""One execution of one job, as a value that goes through small steps.

    read → resolve → validate → perform → outcome

Each step either adds to the execution or ends it with an Outcome; nothing here raises. Runs in a worker's thread.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from flowzz import clock, logs
from flowzz.app import Flowzz
from flowzz.errors import (
    ConnectionInactive,
    JobCanceled,
    JobTimeout,
    LeaseLost,
    NeedsCredentials,
    Permanent,
    QueueUnavailable,
    ReleaseJob,
    RetryLater,
    Snoozed,
    Throttled,
    UnknownJob,
)
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import JobDefinition, result_as_json
from flowzz.jobs.outcome import (
    Canceled,
    Completed,
    ErrorInfo,
    Failed,
    Outcome,
    Parked,
    Postponed,
    Released,
    Retrying,
)
from flowzz.jobs.payload import parse_payload
from flowzz.jobs.retry import NoRetry, RetryRules
from flowzz.queues.claims import Claim
from flowzz.queues.fields import Envelope, UnreadableJob, load_call
from flowzz.queues.lanes import key_of
from flowzz.queues.unconnected import WAITS
from flowzz.workers.reporter import Reporter
from flowzz.workers.rq_retry import rq_retry

TRACE_LIMIT = 16_000
MESSAGE_LIMIT = 2_000
NOT_STOPPING = timedelta(seconds=1)
LOOK_AGAIN = timedelta(minutes=10)
"""After that a job that waits for a connection looks by itself, whatever became of the index of such jobs."""
NOTED_EVERY = timedelta(minutes=1)
NO_RETRY = NoRetry()

log = structlog.get_logger("flowzz.worker")


@dataclass(slots=True)
class Execution:
    """A claim on its way to an outcome; later fields are filled by the steps, each once.

    Not frozen, since a copy a step would cost more than the steps.

    ``apart`` runs a ``process`` job in a process of its own; in there it is None and ``confined`` caps the memory.
    """

    app: Flowzz
    worker: str
    claim: Claim
    reporter: Reporter
    apart: Callable[[Execution], Outcome] | None = None
    confined: Callable[[int | None], AbstractContextManager[object]] = nullcontext
    envelope: Envelope | None = None
    name: str = ""
    payload: Any = None
    definition: JobDefinition[Any, Any] | None = None
    outcome: Outcome | None = None

    @property
    def attempt(self) -> int:
        """The number of this run, from 1."""
        return self.claim.attempts_made + 1

    @property
    def max_attempts(self) -> int:
        if self.envelope:
            return self.envelope.attempts
        retry = rq_retry(self.claim) or (self.definition.rules if self.definition else None)
        return retry.attempts if retry else 1


def run(execution: Execution) -> Execution:
    """All the steps, in this thread; the result always carries an outcome."""
    prepared = prepare(execution)
    return prepared if prepared.outcome is not None else perform(prepared)


def prepare(execution: Execution) -> Execution:
    """The steps before the handler: ready to be performed, or ended with an outcome."""
    for step in (_read, _resolve, _validate):
        step(execution)
        if execution.outcome is not None:
            break
    return execution


def never_returned(execution: Execution, grace: timedelta) -> Outcome:
    """The outcome of an execution whose handler is past its timeout and the grace; it is settled without it."""
    _read(execution)
    if execution.outcome is None:
        _resolve(execution)
    if execution.definition is None:
        return execution.outcome or Released("nothing runs it any more")
    seconds = execution.definition.timeout.total_seconds()
    error = JobTimeout(
        f"ran longer than its timeout of {seconds:g} s and did not return within {grace.total_seconds():g} s more; "
        "a handler that computes for long, or waits without a limit, belongs into isolation='process'"
    )
    return retry_or_fail(execution, error)


def _read(execution: Execution) -> None:
    try:
        execution.name, execution.payload = load_call(execution.claim.data)
        execution.envelope = Envelope.load(execution.claim.envelope)
    except UnreadableJob as error:
        execution.outcome = Failed(ErrorInfo("UnreadableJob", str(error), ""))


def _resolve(execution: Execution) -> None:
    try:
        execution.definition = execution.app.plugins.job(execution.name)
    except UnknownJob:
        execution.outcome = Parked(execution.name)


def _validate(execution: Execution) -> None:
    definition = execution.definition
    assert definition is not None  # noqa: S101 - _resolve filled it
    try:
        execution.payload = parse_payload(execution.name, definition.payload_model, execution.payload)
    except Exception as error:  # noqa: BLE001 - a payload model is plugin code
        execution.outcome = Failed(describe(error))


def perform(execution: Execution) -> Execution:
    """Run the handler of a prepared execution in this thread, or in a process of its own."""
    definition = execution.definition
    assert definition is not None  # noqa: S101 - _resolve filled it
    if definition.isolation == "process" and execution.apart is not None:
        execution.outcome = execution.apart(execution)
        return execution
    logs.begin_run()
    try:
        context = _context(execution)
        execution.reporter.begin(definition.timeout)
        with execution.confined(definition.memory_limit):
            result = result_as_json(definition.run(context, execution.payload))
        _note_success(context)
    except BaseException as error:  # noqa: BLE001 - SystemExit in a handler costs one attempt, not a thread
        execution.outcome = judge(execution, error)
    else:
        execution.outcome = Completed(result)
    return execution


async def perform_async(execution: Execution) -> Execution:
    """Run the ``async def`` handler of a prepared execution on the running loop; its task may be canceled."""
    definition = execution.definition
    assert definition is not None  # noqa: S101 - _resolve filled it
    scope = asyncio.timeout(definition.timeout.total_seconds())
    logs.begin_run()
    try:
        context = _context(execution)
        execution.reporter.begin(definition.timeout)
        async with scope:
            result = result_as_json(await definition.handler(context, execution.payload))
        if context.used:
            await asyncio.to_thread(_note_success, context)
    except BaseException as error:  # noqa: BLE001 - as in perform
        execution.outcome = judge(execution, _meant(execution, error, scope))
    else:
        execution.outcome = Completed(result)
    return execution


def _meant(execution: Execution, error: BaseException, scope: asyncio.Timeout) -> BaseException:
    """What a canceled task was canceled for."""
    if isinstance(error, TimeoutError) and scope.expired():
        return execution.reporter.timed_out()
    if isinstance(error, asyncio.CancelledError) and execution.reporter.lease_lost:
        return LeaseLost()
    if isinstance(error, asyncio.CancelledError) and execution.reporter.cancel_requested:
        return JobCanceled()
    return error


def _context(execution: Execution) -> JobContext:
    claim = execution.claim
    company = getattr(execution.payload, "empresa_id", None)
    return JobContext(
        job_id=claim.job_id,
        job_name=execution.name,
        queue=claim.queue,
        company_id=company if isinstance(company, str) else None,
        attempt=execution.attempt,
        max_attempts=execution.max_attempts,
        worker=execution.worker,
        store=execution.app.store,
        host=execution.app,
        reporter=execution.reporter,
        restored=json.loads(claim.checkpoint) if claim.checkpoint else None,
    )


def judge(execution: Execution, error: BaseException) -> Outcome:
    """What the runtime does next about ``error``: the table of DESIGN §3, in one place."""
    match error:
        case Throttled():
            return Postponed(error.after, _words(error), _held_key(execution, error.hold))
        case Snoozed():
            return Postponed(error.after, _words(error))
        case ReleaseJob() if execution.reporter.stop_requested:
            return Released(_words(error))
        case ReleaseJob():
            return Postponed(NOT_STOPPING, _words(error))
        case LeaseLost():
            return Released(_words(error))
        case JobCanceled():
            return Canceled(_words(error))
        case NeedsCredentials():
            return _pause_connection(execution, error)
        case ConnectionInactive():
            return _wait_for_connection(execution, error.connection_id, _words(error))
        case Permanent():
            return Failed(describe(error))
    return retry_or_fail(execution, error)


def retry_or_fail(execution: Execution, error: BaseException) -> Outcome:
    """Another attempt when one is left, by the policy of the error or after what RetryLater asks for."""
    definition = execution.definition
    rq = rq_retry(execution.claim)
    own = rq or (definition.retry if definition else NO_RETRY)
    rules = RetryRules(own, definition.retry_on if definition and not rq else {})
    try:
        decision = rules.decide(error, execution.attempt, execution.max_attempts)
    except Exception as failure:  # noqa: BLE001 - a Custom policy is plugin code
        info = describe(error)
        note = f"{info.message} (and its retry policy failed: {type(failure).__name__}: {failure})"
        return Failed(ErrorInfo(info.type, note, info.traceback))
    if decision.delay is None:
        return Failed(describe(error))
    return Retrying(error.after if isinstance(error, RetryLater) else decision.delay, describe(error))


def _held_key(execution: Execution, hold: str | None) -> str:
    """The key of the job's limit of that name, or nothing when it is under none such."""
    limits = execution.definition.limits if execution.definition else ()
    return next((key_of(limit, execution.payload).key for limit in limits if limit.name == hold), "")


def _pause_connection(execution: Execution, error: NeedsCredentials) -> Outcome:
    """Pausing comes before the settle: a crash between the two only runs the job against a paused connection.

    When the connection was changed since this run began, its credentials are not the refused ones: try again with them.
    Otherwise the job waits for new ones, as every other job of the company does that finds the connection paused.
    """
    store, connection_id, said = execution.app.store, error.connection_id, _words(error)[:MESSAGE_LIMIT]
    try:
        waits = store.need_credentials(connection_id, said, as_of=execution.reporter.began_at or clock.now())
        waits = waits or store.connection_by_id(connection_id).state is not ConnectionState.ACTIVE
    except Exception as failure:  # noqa: BLE001 - the job's own error is worth more than this one
        info = describe(error)
        note = f"{info.message} (and its connection could not be paused: {failure})"
        return Failed(ErrorInfo(info.type, note, info.traceback))
    return _wait_for_connection(execution, connection_id, said) if waits else retry_or_fail(execution, error)


def _wait_for_connection(execution: Execution, connection_id: str, said: str) -> Outcome:
    """Until the connection is active again; the sweepers of the workers see to that (``queues/unconnected.py``).

    Without the index, for Redis was away or somebody died in between, the job looks again by itself.
    """
    with suppress(QueueUnavailable):
        execution.app.queues.wait_for_connection(connection_id, execution.claim.job_id)
    return Postponed(LOOK_AGAIN, f"{WAITS}{connection_id}: {said}"[:MESSAGE_LIMIT])


def _note_success(context: JobContext) -> None:
    """The connections of a run that completed did work, to the minute. Never raises: the run's result is worth more."""
    for one in context.used.values():
        if one.succeeded_at is not None and clock.now() - one.succeeded_at < NOTED_EVERY:
            continue
        try:
            context.store.note_success(one.id)
        except Exception:  # the database; the next run notes it
            log.warning("a connection's success could not be noted", connection=one.id, exc_info=True)


def describe(error: BaseException) -> ErrorInfo:
    """The error as it is stored: no locals, no secret that the job has seen, the middle of a traceback beyond 16,000
    characters cut out."""
    trace = logs.without_secrets("".join(traceback.format_exception(error)))
    if len(trace) > TRACE_LIMIT:
        half = TRACE_LIMIT // 2
        trace = f"{trace[:half]}\n… {len(trace) - TRACE_LIMIT:,} characters left out …\n{trace[-half:]}"
    return ErrorInfo(type(error).__qualname__, _words(error)[:MESSAGE_LIMIT], trace)


def _words(error: BaseException) -> str:
    """What an error says, without secrets; ``__str__`` of a plugin's class may fail itself."""
    try:
        return logs.without_secrets(str(error))
    except Exception as failure:  # noqa: BLE001 - plugin code
        return f"(its text could not be made: {type(failure).__name__})"

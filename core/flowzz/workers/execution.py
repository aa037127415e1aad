"""One execution of one job, as a value that goes through small steps.

    read → resolve → validate → perform → outcome

Each step either adds to the execution or ends it with an Outcome; nothing here raises. Runs in a worker's thread.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from flowzz.app import Flowzz
from flowzz.errors import (
    JobCanceled,
    LeaseLost,
    NeedsCredentials,
    Permanent,
    ReleaseJob,
    RetryLater,
    Snoozed,
    Throttled,
    UnknownJob,
)
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
from flowzz.jobs.retry import RetryPolicy
from flowzz.queues.fields import Envelope, UnreadableJob, load_call
from flowzz.queues.lanes import key_of
from flowzz.queues.transitions import Claim
from flowzz.workers.reporter import Reporter

TRACE_LIMIT = 16_000
MESSAGE_LIMIT = 2_000
NOT_STOPPING = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Execution:
    """A claim on its way to an outcome; later fields are filled by the steps."""

    app: Flowzz
    worker: str
    claim: Claim
    reporter: Reporter
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
        return self.definition.retry.attempts if self.definition else 1


def run(execution: Execution) -> Execution:
    """All the steps; the result always carries an outcome."""
    for step in (_read, _resolve, _validate, _perform):
        execution = step(execution)
        if execution.outcome is not None:
            return execution
    return replace(execution, outcome=Released("nothing ran it"))


def _read(execution: Execution) -> Execution:
    try:
        name, payload = load_call(execution.claim.data)
        envelope = Envelope.load(execution.claim.envelope)
    except UnreadableJob as error:
        return replace(execution, outcome=Failed(ErrorInfo("UnreadableJob", str(error), "")))
    return replace(execution, name=name, payload=payload, envelope=envelope)


def _resolve(execution: Execution) -> Execution:
    try:
        return replace(execution, definition=execution.app.plugins.job(execution.name))
    except UnknownJob:
        return replace(execution, outcome=Parked(execution.name))


def _validate(execution: Execution) -> Execution:
    definition = execution.definition
    assert definition is not None  # noqa: S101 - _resolve filled it
    try:
        return replace(execution, payload=parse_payload(execution.name, definition.payload_model, execution.payload))
    except Exception as error:  # noqa: BLE001 - a payload model is plugin code
        return replace(execution, outcome=Failed(describe(error)))


def _perform(execution: Execution) -> Execution:
    definition = execution.definition
    assert definition is not None  # noqa: S101 - _resolve filled it
    try:
        context = _context(execution)
        execution.reporter.begin(definition.timeout)
        result = result_as_json(definition.handler(context, execution.payload))
    except BaseException as error:  # noqa: BLE001 - SystemExit in a handler costs one attempt, not a thread
        return replace(execution, outcome=judge(execution, definition.retry, error))
    return replace(execution, outcome=Completed(result))


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
        reporter=execution.reporter,
        restored=json.loads(claim.checkpoint) if claim.checkpoint else None,
    )


def judge(execution: Execution, retry: RetryPolicy, error: BaseException) -> Outcome:
    """What the runtime does next about ``error``: the table of DESIGN §3, in one place."""
    match error:
        case Throttled():
            return Postponed(error.after, str(error), _held_key(execution, error.hold))
        case Snoozed():
            return Postponed(error.after, str(error))
        case ReleaseJob() if execution.reporter.stop_requested:
            return Released(str(error))
        case ReleaseJob():
            return Postponed(NOT_STOPPING, str(error))
        case LeaseLost():
            return Released(str(error))
        case JobCanceled():
            return Canceled(str(error))
        case NeedsCredentials():
            return _pause_connection(execution, retry, error)
        case Permanent():
            return Failed(describe(error))
    return retry_or_fail(execution, retry, error)


def retry_or_fail(execution: Execution, retry: RetryPolicy, error: BaseException) -> Outcome:
    """Another attempt when one is left, by the policy or after what RetryLater asks for."""
    decision = retry.decide(execution.attempt, execution.max_attempts)
    if decision.delay is None:
        return Failed(describe(error))
    return Retrying(error.after if isinstance(error, RetryLater) else decision.delay, describe(error))


def _held_key(execution: Execution, hold: str | None) -> str:
    """The key of the job's limit of that name, or nothing when it is under none such."""
    limits = execution.definition.limits if execution.definition else ()
    return next((key_of(limit, execution.payload).key for limit in limits if limit.name == hold), "")


def _pause_connection(execution: Execution, retry: RetryPolicy, error: NeedsCredentials) -> Outcome:
    """Pausing comes before the settle: a crash between the two only runs the job against a paused connection.

    When the connection was changed since this run began, its credentials are not the refused ones: try again with them.
    """
    try:
        paused = execution.app.store.need_credentials(
            error.connection_id, str(error)[:MESSAGE_LIMIT], as_of=execution.reporter.began_at
        )
    except Exception as failure:  # noqa: BLE001 - the job's own error is worth more than this one
        info = describe(error)
        note = f"{info.message} (and its connection could not be paused: {failure})"
        return Failed(ErrorInfo(info.type, note, info.traceback))
    return Failed(describe(error)) if paused else retry_or_fail(execution, retry, error)


def describe(error: BaseException) -> ErrorInfo:
    """The error as it is stored: no locals, the traceback's middle cut out beyond 16,000 characters."""
    trace = "".join(traceback.format_exception(error))
    if len(trace) > TRACE_LIMIT:
        half = TRACE_LIMIT // 2
        trace = f"{trace[:half]}\n… {len(trace) - TRACE_LIMIT:,} characters left out …\n{trace[-half:]}"
    return ErrorInfo(type(error).__qualname__, str(error)[:MESSAGE_LIMIT], trace)

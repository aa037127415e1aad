"""Jobs over HTTP: enqueue, look, list, explain, retry, cancel, remove."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from flask import Blueprint, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import Field

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.errors import InvalidPayload, JobNotFound
from flowzz.jobs.definition import JobDefinition
from flowzz.jobs.duplicates import Debounce
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import WireModel, parse_payload
from flowzz.jobs.state import JobState
from flowzz.jobs.submissions import WireJob, WireOptions, submissions
from flowzz.jobs.wire import as_wire
from flowzz.queues.records import JobRecord
from flowzz_web.bodies import BULK_BYTES, has_body, read_body, read_query
from flowzz_web.current import audit, the_flowzz, visitor
from flowzz_web.problems import Problem

blueprint = Blueprint("api_jobs", __name__, url_prefix="/api/v1")

LONGEST_KEY = 255


class CancelBody(WireModel):
    reason: Annotated[str, Field(max_length=200)] = ""


class BulkBody(WireModel):
    jobs: Annotated[list[WireJob], Field(min_length=1, max_length=1000)]


class JobQuery(WireModel):
    queue: Annotated[str, Field(min_length=1, max_length=200)]
    state: JobState = JobState.WAITING
    offset: Annotated[int, Field(ge=0, le=10**9)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50


@blueprint.post("/jobs")
def enqueue() -> ResponseReturnValue:
    """Put a job into its queue: 202 with its id and ``Location``; 200 with the earlier one's when a job stands for it
    already (the same id and nonce, or the same duplicates key).

    With the header ``Idempotency-Key`` (up to 255 characters) the caller may repeat the request as often as needed:
    the job's id is made of the caller and the key, so every repeat is that one job. The first answer is 202, a
    repeat 200 with ``Idempotent-Replayed: true``; the same key with another job or payload is refused with 422. A
    key is remembered as long as its job is stored. It cannot be combined with ``options.jobId`` or
    ``options.nonce``.
    """
    body = read_body(WireJob)
    flowzz = the_flowzz()
    definition = flowzz.plugins.job(body.job)
    key = request.headers.get("Idempotency-Key")
    options = body.options.options() if key is None else _keyed(body.options, key)
    earlier = _stored(flowzz, options.job_id) if key is not None and options.job_id else None
    if earlier is not None:
        return _replayed(flowzz, body, earlier)
    made = flowzz.submit(body.job, body.payload, options)
    state = _first_state(definition, options) if made.created and not options.depends_on else _state_of(flowzz, made.id)
    return _accepted(made.id, body.job, definition.queue, state, 202 if made.created else 200)


@blueprint.post("/jobs/bulk")
def enqueue_many() -> ResponseReturnValue:
    """Up to 1,000 jobs, all validated first: 202 with one entry a job in their order, or nothing is stored.

    ``created`` is false where a job stands for it already. An error names the job by its place in ``detail``. To repeat
    a request safely give each job ``options.jobId`` and ``options.nonce``; there is no Idempotency-Key here.
    """
    body = read_body(BulkBody, limit=BULK_BYTES)
    flowzz = the_flowzz()
    wanted = submissions(body.jobs)
    made = flowzz.enqueue_many(wanted)
    jobs = [
        {
            "id": done.id,
            "job": one.job,
            "queue": flowzz.plugins.job(one.job).queue,
            "created": done.created,
            "links": {"self": url_for("api_jobs.show", job_id=done.id)},
        }
        for one, done in zip(wanted, made, strict=True)
    ]
    return jsonify({"jobs": jobs}), 202


@blueprint.get("/jobs")
def list_jobs() -> ResponseReturnValue:
    """Jobs of one queue in one state (default waiting), ``limit`` (default 50, at most 200) from ``offset``."""
    query = read_query(JobQuery)
    flowzz = the_flowzz()
    flowzz.known_queue(query.queue)
    page = flowzz.queues.jobs(query.queue, query.state, offset=query.offset, limit=query.limit)
    return jsonify(as_wire(page))


@blueprint.get("/jobs/<path:job_id>")
def show(job_id: str) -> ResponseReturnValue:
    """The full record; ``?include=attempts,log`` adds the attempts and the log lines."""
    queues = the_flowzz().queues
    document = _document(queues.job(job_id))
    wanted = request.args.get("include", "").split(",")
    if "attempts" in wanted:
        document["attempts"] = as_wire(queues.attempts(job_id))
    if "log" in wanted:
        document["log"] = as_wire(queues.log(job_id))
    return jsonify(document)


@blueprint.post("/jobs/<path:job_id>/retry")
def retry(job_id: str) -> ResponseReturnValue:
    """A failed, canceled or delayed job waits again; 409 in any other state."""
    flowzz = the_flowzz()
    flowzz.queues.retry(job_id)
    audit("job.retry", job_id, {"via": "api"})
    return jsonify(_document(flowzz.queues.job(job_id)))


@blueprint.post("/jobs/<path:job_id>/cancel")
def cancel(job_id: str) -> ResponseReturnValue:
    """200 with the job: canceled, or still active until its handler looks; 409 once it has ended.

    The body may carry ``{"reason": "…"}``.
    """
    reason = read_body(CancelBody).reason if has_body() else ""
    flowzz = the_flowzz()
    flowzz.queues.cancel(job_id, reason)
    audit("job.cancel", job_id, {"reason": reason, "via": "api"})
    return jsonify(_document(flowzz.queues.job(job_id)))


@blueprint.get("/jobs/<path:job_id>/explain")
def explain(job_id: str) -> ResponseReturnValue:
    """Why the job is not running: ``reason`` for programs, ``sentence`` for people, and the facts behind it."""
    return jsonify(as_wire(the_flowzz().queues.explain(job_id)))


@blueprint.delete("/jobs/<path:job_id>")
def remove(job_id: str) -> ResponseReturnValue:
    """204; 409 while the job is active."""
    the_flowzz().queues.remove(job_id)
    audit("job.remove", job_id, {"via": "api"})
    return "", 204


def _first_state(definition: JobDefinition[Any, Any], options: EnqueueOptions) -> JobState:
    later = bool(options.delay) or (options.run_at is not None and options.run_at > now())
    return JobState.DELAYED if later or isinstance(definition.duplicates, Debounce) else JobState.WAITING


def _state_of(flowzz: Flowzz, job_id: str) -> JobState | None:
    """None when a throttled job's first one is not stored any more."""
    earlier = _stored(flowzz, job_id)
    return None if earlier is None else earlier.state


def _keyed(options: WireOptions, key: str) -> EnqueueOptions:
    if not 1 <= len(key) <= LONGEST_KEY:
        raise Problem(400, "bad-idempotency-key", f"expected Idempotency-Key to have 1 to {LONGEST_KEY} characters")
    if options.job_id is not None or options.nonce is not None:
        field = "options.jobId" if options.job_id is not None else "options.nonce"
        message = "cannot be given together with the header Idempotency-Key"
        raise Problem(422, "invalid-request", f"{field}: {message}", errors=[{"field": field, "message": message}])
    user = visitor()
    digest = hashlib.sha256(f"{user.id if user else ''}\n{key}".encode()).hexdigest()[:40]
    keyed = options.model_copy(update={"job_id": f"key-{digest}", "nonce": digest})
    return keyed.options()


def _stored(flowzz: Flowzz, job_id: str) -> JobRecord | None:
    try:
        return flowzz.queues.job(job_id)
    except JobNotFound:
        return None


def _replayed(flowzz: Flowzz, body: WireJob, earlier: JobRecord) -> ResponseReturnValue:
    if not _is_same(flowzz, body, earlier):
        raise Problem(
            422,
            "idempotency-key-reused",
            f"this Idempotency-Key was used for job {earlier.id} ({earlier.name}) with another payload",
        )
    response, status, headers = _accepted(earlier.id, earlier.name, earlier.queue, earlier.state, 200)
    return response, status, {**headers, "Idempotent-Replayed": "true"}


def _is_same(flowzz: Flowzz, body: WireJob, earlier: JobRecord) -> bool:
    model = flowzz.plugins.job(body.job).payload_model
    wanted = parse_payload(body.job, model, body.payload)
    if earlier.name != body.job:
        return False
    try:
        return bool(parse_payload(body.job, model, earlier.payload) == wanted)
    except InvalidPayload:
        return False


def _accepted(
    job_id: str, job: str, queue: str, state: JobState | None, status: int
) -> tuple[Any, int, dict[str, str]]:
    link = url_for("api_jobs.show", job_id=job_id)
    known = None if state is None else state.value
    document = {"id": job_id, "job": job, "queue": queue, "state": known, "links": {"self": link}}
    return jsonify(document), status, {"Location": link}


def _document(record: JobRecord) -> dict[str, Any]:
    document: dict[str, Any] = as_wire(record)
    document["links"] = {"self": url_for("api_jobs.show", job_id=record.id)}
    return document

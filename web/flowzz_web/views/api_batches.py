"""Batches and chains over HTTP: many jobs in one request, all or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import Field, field_validator, model_validator

from flowzz.app import BULK, LARGEST_BATCH
from flowzz.jobs.payload import WireModel
from flowzz.jobs.submissions import WireJob, submission_at, submissions
from flowzz.jobs.wire import as_wire
from flowzz_web.bodies import BULK_BYTES, read_body
from flowzz_web.current import the_flowzz

blueprint = Blueprint("api_batches", __name__, url_prefix="/api/v1")


class BatchBody(WireModel):
    """``batchId`` and ``nonce`` make a repeat of the request the same batch."""

    jobs: Annotated[list[WireJob], Field(min_length=1, max_length=LARGEST_BATCH)]
    callback: WireJob | None = None
    on_failure: WireJob | None = None
    batch_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,90}$")] | None = None
    nonce: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @field_validator("callback", "on_failure")
    @classmethod
    def _named_by_the_batch(cls, job: WireJob | None) -> WireJob | None:
        if job is not None and (job.options.job_id is not None or job.options.nonce is not None):
            raise ValueError("expected no jobId and no nonce: they follow from the batch's batchId and nonce")
        return job

    @model_validator(mode="after")
    def _nonce_needs_an_id(self) -> BatchBody:
        if self.nonce is not None and self.batch_id is None:
            raise ValueError("nonce: expected a batchId beside it, to which it belongs")
        return self


class ChainBody(WireModel):
    jobs: Annotated[list[WireJob], Field(min_length=1, max_length=BULK)]


@blueprint.post("/batches")
def create() -> ResponseReturnValue:
    """1 to 1,000 jobs together, all or none: 202 with the batch's id and its members' ids in their order.

    ``callback`` is enqueued once all have ended; ``onFailure`` in its place when a member did not complete. An error
    names its field by the member's place: ``jobs.2.payload.empresaId``. The same ``batchId`` and ``nonce`` again are
    the same batch, whatever the rest of the body says.
    """
    body = read_body(BatchBody, limit=BULK_BYTES)
    made = the_flowzz().batch(
        submissions(body.jobs),
        callback=submission_at("callback", body.callback) if body.callback else None,
        on_failure=submission_at("onFailure", body.on_failure) if body.on_failure else None,
        batch_id=body.batch_id,
        nonce=body.nonce,
    )
    link = url_for("api_batches.show", batch_id=made.id)
    document = {"id": made.id, "jobs": _jobs(made.job_ids, body.jobs), "links": {"self": link}}
    return jsonify(document), 202, {"Location": link}


@blueprint.post("/chains")
def chain() -> ResponseReturnValue:
    """1 to 500 jobs, each to run once the one before it completed; all or none: 202 with their ids in their order.

    To repeat a request safely give each job ``options.jobId`` and ``options.nonce``.
    """
    body = read_body(ChainBody, limit=BULK_BYTES)
    return jsonify({"jobs": _jobs(the_flowzz().chain(submissions(body.jobs)), body.jobs)}), 202


@blueprint.get("/batches/<batch_id>")
def show(batch_id: str) -> ResponseReturnValue:
    """Its counts; ``finishedAt`` and ``callbackId`` once no member was pending. 404 seven days after that."""
    return jsonify(as_wire(the_flowzz().queues.batch(batch_id)))


def _jobs(ids: Iterable[str], jobs: Iterable[WireJob]) -> list[dict[str, Any]]:
    known = the_flowzz().plugins
    return [
        {
            "id": job_id,
            "job": one.job,
            "queue": known.job(one.job).queue,
            "links": {"self": url_for("api_jobs.show", job_id=job_id)},
        }
        for job_id, one in zip(ids, jobs, strict=True)
    ]

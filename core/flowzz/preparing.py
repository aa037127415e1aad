"""From what a caller asks for to a job as the scripts store it: validated, sized, named. No I/O."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from flowzz.errors import InvalidPayload, PayloadTooLarge
from flowzz.jobs.definition import JobDefinition
from flowzz.jobs.duplicates import Unique
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import parse_payload
from flowzz.queues.admission import admission_of, moment
from flowzz.queues.fields import Envelope, dump_call
from flowzz.queues.lanes import Lane, key_of
from flowzz.queues.new_job import NewJob


def new_job(
    definition: JobDefinition[Any, Any],
    payload: Mapping[str, Any] | BaseModel,
    options: EnqueueOptions,
    *,
    schedule: str | None = None,
    max_bytes: int,
) -> NewJob:
    """A validated job, not stored yet. Raises InvalidPayload or PayloadTooLarge."""
    job = definition.name
    parsed = _parsed(definition, payload)
    document = parsed.model_dump(mode="json", by_alias=True)
    call = _written(job, document, max_bytes)
    company = _company(document)
    new = NewJob(
        id=options.job_id or str(uuid.uuid4()),
        queue=definition.queue,
        payload=document,
        call=call,
        envelope=Envelope(
            job=job,
            attempts=options.attempts or definition.rules.attempts,
            max_stalled=definition.max_stalled,
            # An id that is made here is nobody else's, so it tells a repeat by itself.
            nonce=options.nonce or (uuid.uuid4().hex if options.job_id else ""),
            company=company,
            schedule=schedule,
        ),
        timeout_s=max(1, round(definition.timeout.total_seconds())),
        due=moment(options.run_at or options.delay or None),
        lane=Lane(
            priority=options.priority or definition.priority,
            company=company or "",
            job=job,
            limits=tuple(key_of(limit, parsed) for limit in definition.limits),
        ),
        admission=admission_of(
            definition.duplicates or (Unique() if options.unique_key is not None else None),
            job,
            company or "",
            parsed,
            unique_key=options.unique_key,
            expires=_expires(definition, options),
            keep=definition.keep.dump(job) if definition.keep else "",
        ),
    )
    if options.depends_on:
        new = replace(new, admission=new.admission.after(options.depends_on, options.on_parent_failure))
    return new


def _parsed(definition: JobDefinition[Any, Any], payload: Mapping[str, Any] | BaseModel) -> BaseModel:
    data = payload.model_dump(mode="json", by_alias=True) if isinstance(payload, BaseModel) else payload
    parsed: BaseModel = parse_payload(definition.name, definition.payload_model, data)
    return parsed


def _written(job: str, document: Any, max_bytes: int) -> str:
    """RQ's ``data`` of the job."""
    try:
        call = dump_call(job, document)
        size = len(call) if call.isascii() else len(call.encode())
    except ValueError as error:
        problem = {"field": "(payload)", "message": f"cannot be written as JSON: {error}"}
        raise InvalidPayload(job, [problem]) from None
    if size > max_bytes:
        raise PayloadTooLarge(size, max_bytes)
    return call


def _company(document: Any) -> str | None:
    company = document.get("empresaId") if isinstance(document, dict) else None
    return company if isinstance(company, str) else None


def _expires(definition: JobDefinition[Any, Any], options: EnqueueOptions) -> timedelta | datetime | None:
    """The caller's expiry, or the job's, which counts from when the job may first run."""
    if options.expires is not None or definition.expires_after is None:
        return options.expires
    if options.run_at is not None:
        return options.run_at + definition.expires_after
    return (options.delay or timedelta(0)) + definition.expires_after

"""What went wrong, as RFC 9457 says it: one table from our errors to status, type and title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, current_app
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from flowzz import errors

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:flowzz:problem:"
RETRY_AFTER_S = 5

KINDS: dict[type[Exception], tuple[int, str, str]] = {
    errors.InvalidPayload: (422, "invalid-payload", "The payload does not fit the job"),
    errors.UnknownJob: (404, "unknown-job", "No such kind of job"),
    errors.UnknownQueue: (404, "unknown-queue", "No such queue"),
    errors.UnknownSchedule: (404, "unknown-schedule", "No such schedule"),
    errors.UnknownLimit: (404, "unknown-limit", "No such limit"),
    errors.JobNotFound: (404, "job-not-found", "No such job"),
    errors.BatchNotFound: (404, "batch-not-found", "No such batch"),
    errors.ParentNotFound: (422, "parent-not-found", "A parent is not stored"),
    errors.DuplicateJob: (409, "duplicate-job", "The id is taken"),
    errors.PayloadTooLarge: (413, "payload-too-large", "The payload is too large"),
    errors.NotAllowedInState: (409, "not-allowed-in-state", "The job's state does not allow it"),
    errors.ConnectionTestFailed: (422, "connection-test-failed", "The connection does not work"),
    errors.ConnectionChanged: (409, "connection-changed", "Somebody else changed it meanwhile"),
    errors.InvalidRequest: (422, "invalid-request", "The request was refused"),
    errors.NotFound: (404, "not-found", "Not found"),
    errors.QueueUnavailable: (503, "queue-unavailable", "Redis does not answer"),
    OperationalError: (503, "database-unavailable", "The database does not answer"),
}

FIELDS: dict[type[Exception], str] = {
    errors.UnknownJob: "job",
    errors.PayloadTooLarge: "payload",
    errors.DuplicateJob: "options.jobId",
    errors.ParentNotFound: "options.dependsOn",
}
"""What an error is about in a job that stands in a body with others."""


class Problem(HTTPException):
    """A refusal with everything a client may need to act on it. Renders as a page or as problem+json."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        title: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        nearest: str | None = None,
        headers: Mapping[str, str] | None = None,
        incident: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = status
        self.slug = slug
        self.title = title or HTTP_STATUS_CODES.get(status, "Error")
        self.detail = detail
        self.errors = [dict(error) for error in errors]
        self.nearest = nearest
        self.incident = incident
        self.extra_headers = dict(headers or {})

    @property
    def status(self) -> int:
        return self.code or 500

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = self.errors
        if self.nearest:
            document["nearest"] = self.nearest
        if self.incident:
            document["incident"] = self.incident
        return document

    def json_response(self) -> Response:
        body = current_app.json.dumps(self.as_json())
        return Response(body, self.status, headers=self.extra_headers, content_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem | None:
    """``error`` as a Problem; None when nobody foresaw it."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    kind = next((KINDS[base] for base in type(error).__mro__ if base in KINDS), None)
    return _of_kind(error, *kind) if kind else None


def _of_http(error: HTTPException) -> Problem:
    status = error.code or 500
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    name = HTTP_STATUS_CODES.get(status, "error")
    return Problem(status, name.lower().replace(" ", "-"), error.description or name, title=name, headers=kept)


def _of_kind(error: Exception, status: int, slug: str, title: str) -> Problem:
    if isinstance(error, OperationalError):
        detail = "the database cannot be reached or does not fit; see the log, and run `flowzz migrate`"
    else:
        detail = str(error)
    return Problem(
        status,
        slug,
        detail,
        title=title,
        errors=_fields(error),
        nearest=getattr(error, "nearest", None),
        headers={"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None,
    )


def _fields(error: Exception) -> list[dict[str, Any]]:
    """The fields of the body that the error is about, by their wire names; empty when it says none."""
    stem = f"{error.part}." if isinstance(error, errors.FlowzzError) and error.part else ""
    if isinstance(error, errors.InvalidPayload):
        return [{**problem, "field": f"{stem}{_in_payload(str(problem['field']))}"} for problem in error.problems]
    field = next((field for kind, field in FIELDS.items() if isinstance(error, kind)), "")
    return [{"field": f"{stem}{field}".rstrip("."), "message": Exception.__str__(error)}] if stem else []


def _in_payload(field: str) -> str:
    return "payload" if field == "(payload)" else f"payload.{field}"

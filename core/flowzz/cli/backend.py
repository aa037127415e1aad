"""Flowzz over HTTP, as a company's backend would use it: log in, enqueue, ask how it went."""

from __future__ import annotations

import http.client
import json
from typing import Any

from flowzz.cli.standing import Login
from flowzz.errors import FlowzzError

TIMEOUT_S = 30.0


class Backend:
    """A client of the JSON API, logged in with a JWT."""

    def __init__(self, url: str, login: Login) -> None:
        self._place = url.removeprefix("http://")
        self._token = ""
        body = {"email": login.email, "password": login.password.get_secret_value()}
        self._token = self._call("POST", "/api/v1/auth/login", body)["token"]

    def enqueue(self, job: str, payload: dict[str, Any]) -> str:
        """The id of the new job. Raises FlowzzError with what the API said."""
        return str(self._call("POST", "/api/v1/jobs", {"job": job, "payload": payload})["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return self._call("GET", f"/api/v1/jobs/{job_id}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        link = http.client.HTTPConnection(self._place, timeout=TIMEOUT_S)
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            link.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            answer = link.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise FlowzzError(f"{method} {path}: {error}") from error
        finally:
            link.close()
        if answer.status >= 400:
            raise FlowzzError(f"{method} {path} was answered {answer.status}: {text.decode(errors='replace')[:500]}")
        return dict(json.loads(text))

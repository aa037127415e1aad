"""Calls to the Cloud API over HTTP (reference §2, §5).

A POST is made once: what surely was not sent, what Meta refused and what may have been sent end in different errors.
Redirects are never followed and a body is believed only when it is JSON of the known shape. All clients of a process
share one connection pool for each base URL; the token goes with each request.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import httpx

from flowzz.errors import NeedsCredentials
from flowzz.jobs.throttling import retry_after
from flowzz_whatsapp.codes import Class, GraphError
from flowzz_whatsapp.connection import WhatsAppConnection
from flowzz_whatsapp.errors import Overrun, Refused, SenderStopped, TransientError, UnknownOutcome, WrongEndpoint

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
MAX_BODY_BYTES = 4 * 1024 * 1024
MOST_CONNECTIONS = 64
IDLE_S = 1.0
"""How long a connection may lie idle and still be used. Servers close idle ones after a while of their own (gunicorn
2 s); a message posted just then is answered by a reset, and nobody knows whether it was taken. So we close first."""
HEALTH_FIELDS = "id,display_phone_number,verified_name,quality_rating,status,throughput"

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_THROTTLES = (Class.SENDER_THROTTLED, Class.PAIR_THROTTLED, Class.ACCOUNT_THROTTLED)
_pools: dict[str, httpx.Client] = {}
_pools_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Taken:
    """What Meta answered to a message it took. ``status``: ``accepted``; of templates also ``held_…``, ``paused``."""

    message_id: str
    status: str
    wa_id: str | None
    user_id: str | None


class CloudApi:
    """One sender's calls. Cheap to make; safe to share between threads."""

    def __init__(
        self,
        settings: WhatsAppConnection,
        connection_id: str,
        *,
        read_timeout: timedelta = timedelta(seconds=READ_TIMEOUT_S),
    ) -> None:
        self.settings = settings
        self.connection_id = connection_id
        self._timeout = httpx.Timeout(read_timeout.total_seconds(), connect=CONNECT_TIMEOUT_S)
        self._token = settings.access_token.get_secret_value()
        self._proof = settings.appsecret_proof

    def send(self, body: Mapping[str, Any]) -> Taken:
        """Post one message, once.

        Raises TransientError or Overrun when it surely was not taken, UnknownOutcome when it may have been, Refused,
        SenderStopped, WrongEndpoint or NeedsCredentials when it was refused for good.
        """
        what = "sending the message"
        try:
            response = self._call("POST", f"{self.settings.phone_number_id}/messages", json=dict(body))
        except _NEVER_SENT as error:
            raise TransientError(f"{what}: {_fault(error)}; nothing was sent") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise WrongEndpoint(f"the base URL cannot be used: {_fault(error)}") from None
        except httpx.RequestError as error:
            raise UnknownOutcome(f"{what}: {_fault(error)}; Meta may have taken it") from error
        document = _json(response)
        if GraphError.read(document) is None and (response.status_code >= 500 or response.status_code == 408):
            raise UnknownOutcome(f"{what}: answered {response.status_code} without a reason; Meta may have taken it")
        self._refuse(response, document, what)
        taken = _taken(document)
        if taken is None:
            raise UnknownOutcome(f"{what}: taken, but the answer names no message: {self._excerpt(response)}")
        return taken

    def sender(self) -> Mapping[str, Any]:
        """What Meta says of the sender: number, name, quality, status, throughput. Raises like ``get``."""
        return self.get(self.settings.phone_number_id, {"fields": HEALTH_FIELDS})

    def get(self, path: str, query: Mapping[str, str | int]) -> Mapping[str, Any]:
        """GET ``path`` under the API's version.

        Raises TransientError for whatever may pass, and Overrun, Refused, WrongEndpoint or NeedsCredentials.
        """
        what = f"asking for {path.rpartition('/')[2]}"
        try:
            response = self._call("GET", path, query=query)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise WrongEndpoint(f"the base URL cannot be used: {_fault(error)}") from None
        except httpx.RequestError as error:
            raise TransientError(f"{what}: {_fault(error)}") from error
        document = _json(response)
        if GraphError.read(document) is None and response.status_code >= 500:
            raise TransientError(f"{what}: answered {response.status_code}: {self._excerpt(response)}")
        self._refuse(response, document, what)
        if not isinstance(document, Mapping):
            raise TransientError(f"{what}: the answer is broken JSON")
        return document

    def _call(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, json: Any = None) -> _Answer:
        url = f"{self.settings.root}/{path}"
        request = _pool(self.settings.base_url).stream(
            method,
            url,
            params={**(query or {}), "appsecret_proof": self._proof},
            json=json,
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/json"},
            timeout=self._timeout,
        )
        with request as response:
            return _Answer(response.status_code, response.headers, b"".join(_bounded(response)))

    def _refuse(self, response: _Answer, document: Any, what: str) -> None:
        """Raises for everything but a 2xx that is JSON without an error in it."""
        error = GraphError.read(document)
        if error is not None:
            self._refuse_by(error, response, what)
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise Overrun(f"{what}: 429 without a reason", Class.SENDER_THROTTLED, _asked(response))
        if status == httpx.codes.UNAUTHORIZED:
            raise NeedsCredentials(self.connection_id, f"{what}: Meta does not accept the token (401)")
        if not 200 <= status < 300:
            came = response.headers.get("Content-Type", "no content type")
            raise WrongEndpoint(
                f"{what}: expected JSON of the Graph API, got {came} with status {status}; check base URL, API version "
                "and phone number id"
            )

    def _refuse_by(self, error: GraphError, response: _Answer, what: str) -> NoReturn:
        said = self._hidden(f"{what}: {error.told}")
        kind = error.kind(response.status_code)
        if kind is Class.TRANSIENT:
            raise TransientError(said)
        if kind in _THROTTLES:
            raise Overrun(said, kind, _asked(response))
        if kind is Class.CREDENTIALS:
            raise NeedsCredentials(self.connection_id, said)
        if kind is Class.STOPPED:
            raise SenderStopped(said, error.code)
        raise Refused(said, error.code)

    def _hidden(self, text: str) -> str:
        for secret in (self._token, self._proof, self.settings.app_secret.get_secret_value()):
            text = text.replace(secret, "***")
        return text

    def _excerpt(self, response: _Answer) -> str:
        """The start of the body on one line."""
        return " ".join(self._hidden(response.content[:2000].decode(errors="replace")).split())[:300]


@dataclass(frozen=True, slots=True)
class _Answer:
    status_code: int
    headers: httpx.Headers
    content: bytes


def _pool(base_url: str) -> httpx.Client:
    """The process's connections to ``base_url``; making a client costs some 20 ms, most of it for TLS."""
    with _pools_lock:
        if base_url not in _pools:
            limits = httpx.Limits(
                max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS, keepalive_expiry=IDLE_S
            )
            _pools[base_url] = httpx.Client(follow_redirects=False, limits=limits)
        return _pools[base_url]


def _bounded(response: httpx.Response) -> Iterator[bytes]:
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise httpx.DecodingError(f"the answer is over {MAX_BODY_BYTES:,} bytes", request=response.request)
        yield part


def _taken(document: Any) -> Taken | None:
    """None when no message is named."""
    message, contact = _first(document, "messages"), _first(document, "contacts")
    message_id = message.get("id")
    if not isinstance(message_id, str) or not message_id:
        return None
    return Taken(
        message_id=message_id,
        status=str(message.get("message_status") or "accepted"),
        wa_id=str(contact["wa_id"]) if contact.get("wa_id") else None,
        user_id=str(contact["user_id"]) if contact.get("user_id") else None,
    )


def _first(document: Any, name: str) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(document, Mapping) else None
    first = found[0] if isinstance(found, list) and found else None
    return first if isinstance(first, Mapping) else {}


def _asked(response: _Answer) -> timedelta | None:
    """How long to wait: minutes of the business's usage header, else Retry-After, else None."""
    usage = _loaded(response.headers.get("X-Business-Use-Case-Usage", "").encode())
    entries = [entry for one in usage.values() if isinstance(one, list) for entry in one] if _is_map(usage) else []
    minutes = [entry.get("estimated_time_to_regain_access") for entry in entries if _is_map(entry)]
    longest = max((value for value in minutes if isinstance(value, int | float)), default=0)
    if longest > 0:
        return timedelta(minutes=longest)
    header = response.headers.get("Retry-After")
    return retry_after(header) if header else None


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _json(response: _Answer) -> Any:
    """The document, or None when it is no JSON."""
    return _loaded(response.content)


def _loaded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _fault(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")

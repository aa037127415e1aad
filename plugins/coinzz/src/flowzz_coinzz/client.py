"""Calls to Coinzz over HTTP, with its traps closed (reference §1 and §5).

Redirects are never followed, and a body is believed only when it is JSON and says so: Coinzz answers an unknown
path with a web page and status 200. A GET that failed on the way is tried again a few times at once; a POST never.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from flowzz.errors import NeedsCredentials, Throttled
from flowzz.jobs.throttling import retry_after
from flowzz_coinzz.connection import CoinzzConnection
from flowzz_coinzz.errors import ProtocolError, Refused, TransientError, UnknownOutcome, WrongEndpoint

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
MAX_BODY_BYTES = 32 * 1024 * 1024
QUICK_RETRIES = (timedelta(seconds=0.5), timedelta(seconds=2))
"""Waits before a GET that met a transient error is sent again; after them the job's own retry policy takes over."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx whose body is JSON (numbers as Decimal)."""

    status: int
    document: Any
    excerpt: str


class CoinzzClient:
    """A connection's calls, one at a time and no faster than its rate. Close it, or use it in a ``with`` block."""

    def __init__(
        self,
        settings: CoinzzConnection,
        connection_id: str,
        *,
        transport: httpx.BaseTransport | None = None,
        read_timeout: timedelta = timedelta(seconds=READ_TIMEOUT_S),
        quick_retries: tuple[timedelta, ...] = QUICK_RETRIES,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.connection_id = connection_id
        self._token = settings.api_token.get_secret_value()
        self._quick_retries = quick_retries
        self._wait = wait
        self._turn = threading.Lock()
        self._next_call = 0.0
        self._http = httpx.Client(
            base_url=f"{settings.base_url}/",
            transport=transport,
            follow_redirects=False,
            timeout=httpx.Timeout(read_timeout.total_seconds(), connect=CONNECT_TIMEOUT_S),
            headers={"Accept": "application/json", "Authorization": f"Bearer {self._token}"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Answer:
        """GET ``path``, relative to the base URL.

        Raises Throttled, NeedsCredentials, Refused, WrongEndpoint, ProtocolError or, after quick retries,
        TransientError.
        """
        for pause in self._quick_retries:
            try:
                return self._once(path, query)
            except TransientError:
                self._wait(pause.total_seconds())
        return self._once(path, query)

    def _once(self, path: str, query: Mapping[str, str | int] | None) -> Answer:
        try:
            response = self._send("GET", path, params=dict(query or {}))
        except httpx.UnsupportedProtocol as error:
            raise WrongEndpoint(f"the base URL cannot be used: {error}") from None
        except httpx.RequestError as error:
            raise TransientError(f"GET {path}: {_fault(error)}") from error
        if _stumbled(response):
            raise TransientError(f"GET {path}: Coinzz answered {response.status_code}: {self._excerpt(response)}")
        try:
            return self._believed(response, path)
        except ValueError as error:
            raise TransientError(f"GET {path}: the answer is broken JSON ({error})") from None

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST ``body`` once.

        Raises TransientError only when it surely was not sent, UnknownOutcome when it may have been, and the rest
        like ``get``.
        """
        try:
            response = self._send("POST", path, json=body)
        except _NEVER_SENT as error:
            raise TransientError(f"POST {path}: {_fault(error)}; nothing was sent") from error
        except httpx.RequestError as error:
            raise UnknownOutcome(f"POST {path}: {_fault(error)}; it may have been processed") from error
        if _stumbled(response):
            raise UnknownOutcome(f"POST {path}: Coinzz answered {response.status_code}; it may have been processed")
        try:
            return self._believed(response, path)
        except ValueError as error:
            raise UnknownOutcome(f"POST {path}: accepted, but the answer is broken JSON ({error})") from None

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        self._await_turn()
        with self._http.stream(method, path.lstrip("/"), **content) as response:
            parts, size = [], 0
            for part in response.iter_bytes():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise httpx.DecodingError(f"the answer is over {MAX_BODY_BYTES:,} bytes", request=response.request)
                parts.append(part)
        # The body is decoded by now; its encoding header would make httpx decode it again.
        headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _CONSUMED]
        return httpx.Response(response.status_code, headers=headers, content=b"".join(parts), request=response.request)

    def _await_turn(self) -> None:
        with self._turn:
            begin = time.monotonic()
            if begin < self._next_call:
                self._wait(self._next_call - begin)
            self._next_call = max(begin, self._next_call) + self.settings.pause.total_seconds()

    def _believed(self, response: httpx.Response, path: str) -> Answer:
        """The answer, when it is a 2xx that is JSON and no ``success: false``. ValueError when its JSON is broken."""
        self._refuse(response, path)
        document = _json(response)
        if _said_no(document):
            raise _refusal(response.status_code, path, response, self._excerpt(response))
        return Answer(response.status_code, document, self._excerpt(response))

    def _refuse(self, response: httpx.Response, path: str) -> None:
        """Raises for everything but a 2xx that says it is JSON."""
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise Throttled(retry_after(response.headers.get("Retry-After")))
        if status in (401, 403):
            raise NeedsCredentials(
                self.connection_id,
                f"Coinzz refused the API token ({status}: {self._excerpt(response)}); make a new one in the panel "
                "under Configurações → API and store it in the connection",
            )
        if 300 <= status < 400:
            target = urlsplit(response.headers.get("Location", "")).path or "another page"
            raise WrongEndpoint(
                f"{path}: Coinzz redirected to {target} ({status}); check the base URL and the token, for that is what "
                "it does with a wrong path or a rejected session"
            )
        if not _says_json(response):
            came = response.headers.get("Content-Type", "no content type")
            raise WrongEndpoint(
                f"{path}: expected JSON from Coinzz, got {came} with status {status}; check the base URL and the path"
            )
        if not 200 <= status < 300:
            raise _refusal(status, path, response, self._excerpt(response))

    def _excerpt(self, response: httpx.Response) -> str:
        """The start of the body on one line, without the token, addresses and long numbers."""
        shown = response.text[:2000].replace(self._token, "***")
        shown = re.sub(r"[\w.+-]+@[\w.-]+", "<email>", shown)
        shown = re.sub(r"\d[\d.\-/ ]{7,}\d", "<number>", shown)
        return " ".join(shown.split())[:300]


_CONSUMED = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def _stumbled(response: httpx.Response) -> bool:
    """A time-out or any 5xx, proxies' own numbers included, whatever the body is."""
    return bool(response.status_code == httpx.codes.REQUEST_TIMEOUT or response.status_code >= 500)


def _refusal(status: int, path: str, response: httpx.Response, excerpt: str) -> Refused | ProtocolError:
    try:
        document = _json(response)
    except ValueError:
        return ProtocolError(f"{path}: Coinzz answered {status} with broken JSON: {excerpt}")
    errors = document.get("errors") if isinstance(document, Mapping) else None
    fields = {str(k): [str(t) for t in (v if isinstance(v, list) else [v])] for k, v in dict(errors or {}).items()}
    said = document.get("message") if isinstance(document, Mapping) else None
    detail = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items())
    return Refused(f"{path}: Coinzz refused ({status}): {said or excerpt}{f' ({detail})' if detail else ''}", fields)


def _said_no(document: Any) -> bool:
    return isinstance(document, Mapping) and str(document.get("success", True)).lower() in ("false", "0")


def _says_json(response: httpx.Response) -> bool:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return bool(kind == "application/json" or kind.endswith("+json"))


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content, parse_float=Decimal)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _fault(error: httpx.RequestError) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")

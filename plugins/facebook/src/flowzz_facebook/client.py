"""Calls to the Graph API over HTTP (reference §2, §4 to §6).

The token travels in a header, never in an address; ``paging.next``, which has it, is looked at for being there and
then dropped. A body is believed only when it is a JSON object without ``error``, whatever the status. A GET that met
passing trouble is sent again at once a few times; then the job's own retry policy takes over.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from types import TracebackType
from typing import Any, NoReturn, Self

import httpx

from flowzz import logs
from flowzz.errors import NeedsCredentials, Throttled
from flowzz.jobs.throttling import retry_after
from flowzz_facebook.connection import FacebookConnection
from flowzz_facebook.errors import (
    AccountRefused,
    ObjectMissing,
    Refused,
    TokenRefused,
    TooMuchData,
    TransientError,
    WrongEndpoint,
)
from flowzz_facebook.usage import ADS_MANAGEMENT, Usage, usage_of
from flowzz_facebook.verdicts import TOKEN_SUBCODES, GraphError, Verdict, standard_wait

ACCOUNT_LIMIT = "facebook.account"
"""The engine's limit that a throttle holds: one run an ad account at a time, and none while Meta wants none."""

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, POOL_TIMEOUT_S = 5.0, 60.0, 10.0
LONGEST_ANSWER = timedelta(minutes=5)
MAX_BODY_BYTES = 64 * 1024 * 1024
BLOCKED_FOR = timedelta(hours=6)
QUICK_RETRIES = (timedelta(seconds=0.5), timedelta(seconds=2))

Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Page:
    """``data`` of a listing as it came, the cursor after it, and whether Meta has more."""

    rows: list[Any]
    after: str | None
    has_next: bool


class GraphClient:
    """The calls of one run for one ad account. ``usage`` is what the last answer said about its allowances.

    ``notices`` collects what Meta says about the version in headers. Close it, or use it in a ``with`` block.
    """

    def __init__(
        self,
        settings: FacebookConnection,
        connection_id: str,
        account: str,
        *,
        read_timeout: timedelta = timedelta(seconds=READ_TIMEOUT_S),
        quick_retries: tuple[timedelta, ...] = QUICK_RETRIES,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.account = account
        self.usage = Usage()
        self.use_case = ADS_MANAGEMENT
        self.notices: dict[str, None] = {}
        self._connection_id = connection_id
        self._quick_retries = quick_retries
        self._wait = wait
        token = settings.access_token.get_secret_value()
        self._proof = _proof(settings)
        self._secrets = [secret for secret in (token, self._proof) if secret]
        for secret in self._secrets:
            logs.register_secret(secret)
        timeout = httpx.Timeout(
            read_timeout.total_seconds(), connect=CONNECT_TIMEOUT_S, pool=POOL_TIMEOUT_S, write=READ_TIMEOUT_S
        )
        self._http = httpx.Client(
            base_url=f"{settings.base_url}/{settings.api_version}/",
            follow_redirects=False,
            verify=_tls(),
            timeout=timeout,
            headers={"Accept": "application/json", "Authorization": f"Bearer {token}"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def use(self, use_case: str) -> None:
        """From here on the calls count under another allowance."""
        if use_case != self.use_case:
            self.use_case = use_case
            self.usage = Usage()

    def get(self, path: str, params: Params) -> Mapping[str, Any]:
        """GET ``path`` under the version.

        Raises Throttled (which holds the ad account), NeedsCredentials, AccountRefused, Refused, ObjectMissing,
        TooMuchData, WrongEndpoint or, after quick retries, TransientError.
        """
        for pause in self._quick_retries:
            try:
                return self._call("GET", path, params)
            except TransientError:
                self._wait(pause.total_seconds())
        return self._call("GET", path, params)

    def post(self, path: str, form: Params) -> Mapping[str, Any]:
        """POST ``form``, once; what it makes may exist even when TransientError is raised. Raises what ``get`` does."""
        return self._call("POST", path, form)

    def page(self, path: str, params: Params) -> Page:
        """A page of a listing. Raises what ``get`` does."""
        document = self.get(path, params)
        rows, paging = document.get("data"), document.get("paging")
        if not isinstance(rows, list):
            raise TransientError(f"{path}: expected a list in data, got {type(rows).__name__}")
        paging = paging if isinstance(paging, Mapping) else {}
        cursors = paging.get("cursors")
        after = cursors.get("after") if isinstance(cursors, Mapping) else None
        return Page(rows, str(after) if after else None, has_next=bool(paging.get("next")))

    def _call(self, method: str, path: str, params: Params) -> Mapping[str, Any]:
        try:
            return self._once(method, path, params)
        except _WrongSignature:
            pass
        except TokenRefused as refused:
            self._judge(refused, path)
        try:
            return self._once(method, path, params)
        except (_WrongSignature, TokenRefused) as refused:
            self._judge(refused, path)

    def _judge(self, refused: Exception, path: str) -> NoReturn:
        """Is the token dead, or is only this account closed to it? The account's error alone cannot tell.

        Raises NeedsCredentials or AccountRefused, or what asking for the token's owner ends in.
        """
        if path != "me":
            try:
                self._once("GET", "me", {"fields": "id"})
            except (_WrongSignature, TokenRefused):
                pass
            else:
                raise AccountRefused(
                    f"{refused}; the token works elsewhere, so only ad account {self.account} is closed to it: "
                    "give its system user access to the account, or take the account out of the connection"
                ) from None
        raise NeedsCredentials(
            self._connection_id,
            f"{refused}; make a new token in Business settings and store it in the connection",
        ) from None

    def _once(self, method: str, path: str, params: Params) -> Mapping[str, Any]:
        sent = {**params, **({"appsecret_proof": self._proof} if self._proof else {})}
        content = {"params": sent} if method == "GET" else {"data": sent}
        try:
            response = self._send(method, path, content)
        except httpx.UnsupportedProtocol as error:
            raise WrongEndpoint(f"the base URL cannot be used: {error}") from None
        except httpx.RequestError as error:
            raise TransientError(self._shown(f"{path}: {type(error).__name__}: {error}".rstrip(": "))) from None
        self._notice(response)
        document = _document(response)
        told = document.get("error") if document is not None else None
        if isinstance(told, Mapping):
            self._refuse(GraphError.read(told), path, response)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            self._throttle(self._wait_for(response, retry_after(None)), f"{path}: Meta answered 429")
        if response.status_code >= 500 or response.status_code == httpx.codes.REQUEST_TIMEOUT:
            raise TransientError(f"{path}: Meta answered {response.status_code} ({_kind(response)})")
        if not response.is_success or (document is None and not _says_json(response)):
            raise WrongEndpoint(
                f"{path}: expected JSON from the Graph API, got {_kind(response)} with status {response.status_code}; "
                "check the base URL and the version"
            )
        if document is None:
            raise TransientError(f"{path}: the answer is broken JSON")
        return document

    def _send(self, method: str, path: str, content: Mapping[str, Any]) -> httpx.Response:
        deadline = time.monotonic() + LONGEST_ANSWER.total_seconds()
        with self._http.stream(method, path, **content) as response:
            parts, size = [], 0
            for part in response.iter_bytes():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise httpx.DecodingError(f"the answer is over {MAX_BODY_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"the answer took over {LONGEST_ANSWER}")
                parts.append(part)
        # The body is decoded by now; its encoding header would make httpx decode it again.
        headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _CONSUMED]
        return httpx.Response(response.status_code, headers=headers, content=b"".join(parts))

    def _refuse(self, error: GraphError, path: str, response: httpx.Response) -> NoReturn:
        said = self._said(error, path)
        match error.verdict:
            case Verdict.TRANSIENT:
                raise TransientError(said)
            case Verdict.TOO_MUCH:
                raise TooMuchData(said)
            case Verdict.THROTTLED:
                self._throttle(self._wait_for(response, standard_wait(error)), said)
            case Verdict.BLOCKED:
                self._throttle(
                    BLOCKED_FOR, f"{said}; Meta blocks this for its policies: a person must look in Business Suite"
                )
            case Verdict.TOKEN:
                raise TokenRefused(said)
            case Verdict.SIGNATURE:
                raise _WrongSignature(f"{said}; check the app secret")
            case Verdict.PERMISSION:
                raise AccountRefused(
                    f"{said}; the token may not read ad account {self.account}: "
                    "it needs ads_read and access to the account"
                )
            case Verdict.MISSING:
                raise ObjectMissing(said, error.code)
            case Verdict.REFUSED:
                raise Refused(said, error.code)

    def _throttle(self, after: timedelta, said: str) -> NoReturn:
        raise Throttled(after, said, hold=ACCOUNT_LIMIT)

    def _wait_for(self, response: httpx.Response, standard: timedelta) -> timedelta:
        """The longest of what the headers ask for; ``standard`` where they ask for nothing."""
        asked = usage_of(response.headers, self.account, self.use_case).regain
        header = response.headers.get("Retry-After")
        if header is not None:
            asked = max(asked, retry_after(header))
        return asked or standard

    def _said(self, error: GraphError, path: str) -> str:
        code = f"{error.code}/{error.subcode}" if error.subcode else str(error.code)
        why = TOKEN_SUBCODES.get(error.subcode) if error.verdict is Verdict.TOKEN else None
        parts = [f"{path}: Meta answered {code}: {error.message}", why, error.user_message, error.fields]
        trace = f" (fbtrace_id {error.trace})" if error.trace else ""
        return self._shown("; ".join(part for part in parts if part)[:600] + trace)

    def _shown(self, text: str) -> str:
        """``text`` on one line and without our secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())

    def _notice(self, response: httpx.Response) -> None:
        self.usage = usage_of(response.headers, self.account, self.use_case)
        answered = response.headers.get("facebook-api-version", self.settings.api_version)
        if answered != self.settings.api_version:
            self.notices[f"Meta answered with version {answered} where {self.settings.api_version} was asked for"] = (
                None
            )
        warning = response.headers.get("X-Ad-Api-Version-Warning")
        if warning:
            self.notices[self._shown(f"Meta warns about the version: {warning}")] = None


class _WrongSignature(Exception):
    """Code 104, see ``Verdict.SIGNATURE``."""


_CONSUMED = frozenset({"content-encoding", "content-length", "transfer-encoding"})


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The trusted certificates, read once a process: a run that waits for a report makes a new client each time."""
    return httpx.create_ssl_context()


def _proof(settings: FacebookConnection) -> str | None:
    """Lower-case hex HMAC-SHA256 of the token under the app secret (reference §2)."""
    if settings.app_secret is None:
        return None
    key, message = settings.app_secret.get_secret_value(), settings.access_token.get_secret_value()
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def _document(response: httpx.Response) -> Mapping[str, Any] | None:
    """The body, if it is a JSON object."""
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _says_json(response: httpx.Response) -> bool:
    # Meta has sent JSON as text/javascript.
    return "json" in _kind(response) or "javascript" in _kind(response)


def _kind(response: httpx.Response) -> str:
    kind: str = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind or "no content type"

"""Posts webhooks the way Coinzz does, or worse: twice, at once, out of order, late, never, with a wrong secret."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from flowzz_coinzz.sandbox.payloads import Document
from flowzz_coinzz.sandbox.state import SandboxState

POST_TIMEOUT_S = 30.0
MAX_SENDERS = 16


class Delivery(BaseModel):
    """How webhooks are delivered.

    - ``copies``: each is sent so often. ``concurrent``: all at once instead of one by one.
    - ``order``: ``as_is``, ``reversed`` or ``shuffled`` (always the same shuffle).
    - ``delay``: seconds until they are sent; the request does not wait for them.
    - ``hold``: kept until ``POST /_control/webhooks/release``. ``never``: not sent at all.
    - ``secret``: ``right``, ``wrong`` (an altered token) or ``missing`` (the address without its token).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    copies: int = Field(default=1, ge=1, le=1000)
    concurrent: bool = False
    order: Literal["as_is", "reversed", "shuffled"] = "as_is"
    delay: float = Field(default=0, ge=0, le=3600)
    hold: bool = False
    never: bool = False
    secret: Literal["right", "wrong", "missing"] = "right"  # noqa: S105 - the name of a mode


class Sender:
    """Sends, and keeps a record of what was answered."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._held: list[tuple[str, list[Document], bool]] = []

    def deliver(self, url: str, documents: Sequence[Document], how: Delivery) -> list[dict[str, Any]]:
        """Send ``documents`` to ``url``; what was answered to each, in the order they were sent.

        Empty when nothing was sent yet (held, delayed, never).
        """
        if how.never:
            return []
        target = with_secret(url, how.secret)
        queue = [document for document in documents for _ in range(how.copies)]
        if how.order == "reversed":
            queue.reverse()
        elif how.order == "shuffled":
            random.Random(7).shuffle(queue)  # noqa: S311 - the same shuffle each time
        if how.hold:
            with self._state.lock:
                self._held.append((target, queue, how.concurrent))
            return []
        if how.delay:
            timer = threading.Timer(how.delay, self._send, (target, queue, how.concurrent))
            timer.daemon = True
            timer.start()
            return []
        return self._send(target, queue, how.concurrent)

    def release(self) -> list[dict[str, Any]]:
        """Send what was held, in the order in which it was held."""
        with self._state.lock:
            held, self._held = self._held, []
        return [answer for target, queue, concurrent in held for answer in self._send(target, queue, concurrent)]

    def _send(self, url: str, queue: Sequence[Document], concurrent: bool) -> list[dict[str, Any]]:
        with httpx.Client(timeout=POST_TIMEOUT_S, follow_redirects=False) as http:
            if concurrent:
                with ThreadPoolExecutor(min(MAX_SENDERS, max(1, len(queue)))) as pool:
                    answers = list(pool.map(lambda document: _post(http, url, document), queue))
            else:
                answers = [_post(http, url, document) for document in queue]
        with self._state.lock:
            self._state.deliveries.extend(answers)
        return answers


def with_secret(url: str, secret: str) -> str:
    """``url``, whose last part is the token, with that token altered or left out."""
    if secret == "missing":  # noqa: S105 - the name of a mode
        return url.rpartition("/")[0] + "/"
    return f"{url}x" if secret == "wrong" else url  # noqa: S105 - the name of a mode


def _post(http: httpx.Client, url: str, document: Document) -> dict[str, Any]:
    body = json.dumps(document, ensure_ascii=False).encode()
    sent: dict[str, Any] = {"order": document.get("order", {}).get("order_number")}
    try:
        response = http.post(url, content=body, headers={"Content-Type": "application/json"})
    except httpx.RequestError as error:
        return {**sent, "status": None, "error": f"{type(error).__name__}: {error}"}
    try:
        reply = response.json()
    except ValueError:
        reply = None
    return {**sent, "status": response.status_code, "reply": reply}

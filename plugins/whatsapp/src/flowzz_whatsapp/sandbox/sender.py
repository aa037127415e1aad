"""Posts webhooks the way Meta does: signed, in batches, again when they were not taken; or worse, as ``Delivery`` says.

Statuses wait in an outbox until they are due; a thread of its own posts what is.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import itertools
import json
import random
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from flowzz.clock import now
from flowzz_whatsapp.sandbox.state import APP_SECRET, Document, SandboxState

POST_TIMEOUT_S = 30.0
FIRST_RETRY_S = 0.1
MOST_UPDATES = 1000


class Delivery(BaseModel):
    """How webhooks are delivered.

    - ``copies``: each POST is sent so often. ``order``: of the updates: ``as_is``, ``reversed`` or ``shuffled`` (always
      the same shuffle). ``batch``: most updates in one POST; statuses of several senders go together.
    - ``signature``: ``right``, ``wrong`` or ``missing``. ``retries``: how often a POST that was not answered 200 comes
      again, later each time.
    - ``unknown_field``: a change of a kind nobody knows comes along. ``padding``: so many bytes more in the body.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    copies: int = Field(default=1, ge=1, le=1000)
    order: Literal["as_is", "reversed", "shuffled"] = "as_is"
    batch: int = Field(default=MOST_UPDATES, ge=1, le=MOST_UPDATES)
    signature: Literal["right", "wrong", "missing"] = "right"
    retries: int = Field(default=5, ge=0, le=20)
    unknown_field: bool = False
    padding: int = Field(default=0, ge=0, le=3 * 1024 * 1024)


class Update(BaseModel):
    """One thing to tell: ``kind`` is the list it stands in (``statuses``, ``messages``) or the change's own field."""

    model_config = ConfigDict(frozen=True)

    sender: str
    kind: str
    document: dict[str, Any]
    contact: dict[str, Any] | None = None


class Sender:
    """The outbox and its thread."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._outbox: list[tuple[float, int, Update]] = []
        self._held: list[Update] = []
        self._thread: threading.Thread | None = None

    def later(self, update: Update, delay_s: float) -> None:
        """Post it once ``delay_s`` have passed."""
        with self._changed:
            heapq.heappush(self._outbox, (now().timestamp() + delay_s, next(self._order), update))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="whatsapp-sandbox", daemon=True)
                self._thread.start()
            self._changed.notify()

    def hold(self, update: Update) -> None:
        """Keep it until ``release``."""
        with self._changed:
            self._held.append(update)

    def release(self) -> list[Document]:
        """Post what was held; what was answered."""
        with self._changed:
            held, self._held = self._held, []
        return self.deliver(held)

    def forget(self) -> None:
        with self._changed:
            self._outbox.clear()
            self._held.clear()

    def _run(self) -> None:
        while True:
            due = self._due()
            if due:
                self.deliver(due)

    def _due(self) -> list[Update]:
        """What is due by now; waits for the next when nothing is."""
        with self._changed:
            while not self._outbox:
                self._changed.wait()
            wait = self._outbox[0][0] - now().timestamp()
            if wait > 0:
                self._changed.wait(wait)
                return []
            due: list[Update] = []
            while self._outbox and self._outbox[0][0] <= now().timestamp() and len(due) < MOST_UPDATES:
                due.append(heapq.heappop(self._outbox)[2])
            return due

    def deliver(self, updates: Sequence[Update], how: Delivery | None = None, url: str | None = None) -> list[Document]:
        """Post ``updates`` now; what was answered to each POST, the last answer where it came again."""
        how = how or Delivery.model_validate(self._state.settings["delivery"])
        by_url: dict[str, list[Update]] = defaultdict(list)
        for update in _ordered(updates, how):
            target = url or self._url_of(update.sender)
            if target:
                by_url[target].append(update)
        answers = []
        with httpx.Client(timeout=POST_TIMEOUT_S, follow_redirects=False) as http:
            for target, some in by_url.items():
                for start in range(0, len(some), how.batch):
                    body = _body(some[start : start + how.batch], how)
                    answers += [self._post(http, target, body, how) for _ in range(how.copies)]
        with self._state.lock:
            self._state.deliveries.extend(answers)
        return answers

    def verify(self, url: str, verify_token: str) -> Document:
        """Meta's handshake: what was answered to the challenge, and whether it was the right answer."""
        challenge = "1158201444"
        query = {"hub.mode": "subscribe", "hub.verify_token": verify_token, "hub.challenge": challenge}
        with httpx.Client(timeout=POST_TIMEOUT_S, follow_redirects=False) as http:
            response = http.get(url, params=query)
        return {"status": response.status_code, "verified": response.status_code == 200 and response.text == challenge}

    def _url_of(self, sender: str) -> str | None:
        settings = self._state.settings
        url: str | None = settings["webhook_urls"].get(sender) or settings["webhook_url"]
        return url

    def _post(self, http: httpx.Client, url: str, body: bytes, how: Delivery) -> Document:
        headers = {"Content-Type": "application/json"}
        if how.signature != "missing":
            secret = APP_SECRET if how.signature == "right" else "another secret"
            headers["X-Hub-Signature-256"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        pause = threading.Event()
        for tried in range(how.retries + 1):
            answer = _posted(http, url, body, headers)
            if answer["status"] == 200:
                break
            if tried < how.retries:
                pause.wait(FIRST_RETRY_S * 2**tried)
        return {**answer, "bytes": len(body), "posts": tried + 1}


def _posted(http: httpx.Client, url: str, body: bytes, headers: Mapping[str, str]) -> Document:
    try:
        response = http.post(url, content=body, headers=dict(headers))
    except httpx.RequestError as error:
        return {"status": None, "error": f"{type(error).__name__}: {error}"}
    try:
        return {"status": response.status_code, "reply": response.json()}
    except ValueError:
        return {"status": response.status_code, "reply": None}


def _ordered(updates: Iterable[Update], how: Delivery) -> list[Update]:
    listed = list(updates)
    if how.order == "reversed":
        listed.reverse()
    elif how.order == "shuffled":
        random.Random(7).shuffle(listed)  # noqa: S311 - the same shuffle each time
    return listed


def _body(updates: Sequence[Update], how: Delivery) -> bytes:
    """The envelope. What is not ASCII is escaped, as Meta does: serialised anew it has another signature."""
    changes = [_change(sender, some) for sender, some in itertools.groupby(updates, key=lambda one: one.sender)]
    at = int(now().timestamp())
    entries = [{"id": f"4{change['sender'][1:]}", "time": at, "changes": change["changes"]} for change in changes]
    if how.unknown_field:
        entries.append({"id": "0", "changes": [{"field": "something_new", "value": {"à": [1]}}]})
    document: Document = {"object": "whatsapp_business_account", "entry": entries}
    if how.padding:
        document["padding"] = "x" * how.padding
    return json.dumps(document).encode()


def _change(sender: str, updates: Iterable[Update]) -> Document:
    """A sender's changes: one with its statuses and messages, and one for each update of another kind."""
    value: Document = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "551130000000", "phone_number_id": sender},
    }
    others = []
    for update in updates:
        if update.kind in ("statuses", "messages"):
            value.setdefault(update.kind, []).append(update.document)
            if update.contact and update.contact not in value.setdefault("contacts", []):
                value["contacts"].append(update.contact)
        else:
            others.append({"field": update.kind, "value": update.document})
    told = [{"field": "messages", "value": value}] if len(value) > 2 else []
    return {"sender": sender, "changes": [*told, *others]}

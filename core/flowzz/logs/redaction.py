"""What keeps secrets out of the logs, and out of what is stored of a job that failed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from itertools import chain
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

STARS = "**********"
SHORTEST_SECRET = 6
"""Characters. A shorter value is not searched for: it would star out innocent words."""

_PLAIN = frozenset({str, int, float, bool, type(None)})
_SECRET_NAME = re.compile(
    r"passw|secret|token|api_?key|authorization|cookie|credential|private_?key|encryption_?key", re.IGNORECASE
)
_WEBHOOK_TOKEN = re.compile(rb"(/webhooks/[^/\s\"'?#\\]+/)[^/\s\"'?#\\]+")
_URL_PASSWORD = re.compile(rb"(://[^/\s:@\"'\\]*:)[^@/\s\"'\\]+(?=@)")
_MAX_DEPTH = 8

_secrets: set[bytes] = set()
_of_this_run: ContextVar[dict[str, tuple[bytes, ...]] | None] = ContextVar("secrets_of_this_run", default=None)


def register_secret(value: SecretStr | str | None) -> None:
    """Star out this value wherever it appears in a line of this process, inside a traceback too.

    For the few secrets a process holds for its lifetime: each costs a search in every batch of lines.
    """
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if text and len(text) >= SHORTEST_SECRET:
        _secrets.add(text.encode(errors="replace"))
        _secrets.add(json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="replace"))


def register_url(url: SecretStr) -> None:
    """Star out the password inside ``url``, as it is written there and as it is meant."""
    password = urlsplit(url.get_secret_value()).password
    if password:
        register_secret(password)
        register_secret(unquote(password))


def begin_run() -> None:
    """A job begins in this context: what ``note_secrets`` is told from now on is its own."""
    _of_this_run.set({})


def note_secrets(values: Iterable[SecretStr]) -> None:
    """The running job has seen these: whatever it says of them until its end is starred out. Nothing outside a job."""
    noted = _of_this_run.get()
    if noted is None:
        return
    for secret in [value.get_secret_value() for value in values]:
        if secret not in noted and len(secret) >= SHORTEST_SECRET:
            noted[secret] = _forms(secret)


def without_secrets(text: str) -> str:
    """``text`` with stars for every secret of the process and of the running job. Cut it afterwards, not before: half a
    secret is not found."""
    return masked(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")


def _forms(secret: str) -> tuple[bytes, ...]:
    """As it is, and as it travels in JSON, in URLs and in basic authentication; the longest first."""
    packed = base64.b64encode(secret.encode(errors="replace")).decode()
    forms = {secret, json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="", errors="replace"), packed}
    return tuple(sorted((form.encode(errors="replace") for form in forms), key=len, reverse=True))


def is_harmless(line: Mapping[str, Any]) -> bool:
    """True when no name in it is telling and nothing is nested: the usual line, which then needs no copy."""
    return not _tells(tuple(line)) and _PLAIN.issuperset(map(type, line.values()))


def redacted(line: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with stars for every value under a telling name, at any depth."""
    return {str(name): _redacted(str(name), value, 0) for name, value in line.items()}


def _redacted(name: str, value: Any, depth: int) -> Any:
    if value is not None and _tells((name,)):
        return STARS
    if type(value) in _PLAIN:
        return value
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item, depth + 1) for item in value]
    return value


@lru_cache(maxsize=4096)
def _tells(names: tuple[str, ...]) -> bool:
    return any(_SECRET_NAME.search(str(name)) for name in names)


def masked(data: bytes) -> bytes:
    if b"/webhooks/" in data:
        data = _WEBHOOK_TOKEN.sub(rb"\1" + STARS.encode(), data)
    if b"://" in data:
        data = _URL_PASSWORD.sub(rb"\1" + STARS.encode(), data)
    for secret in chain(_secrets, *(_of_this_run.get() or {}).values()):
        if secret in data:
            data = data.replace(secret, STARS.encode())
    return data

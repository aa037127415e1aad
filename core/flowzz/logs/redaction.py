"""What keeps secrets out of the logs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

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
    for secret in _secrets:
        if secret in data:
            data = data.replace(secret, STARS.encode())
    return data

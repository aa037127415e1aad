"""Looks for secrets where none may be: in what tests print and log, in the files they leave, in their Redis.

What is planted are the secrets of the plugins' sandboxes, which every connection to one holds. ``conftest.py`` looks
after each test, in each process of the run, and fails the test that let one out.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import redis

from flowzz_coinzz.sandbox import state as coinzz
from flowzz_facebook.sandbox import state as facebook
from flowzz_whatsapp.sandbox import state as whatsapp

PLANTED: dict[str, str] = {
    "Coinzz's API token": coinzz.TOKEN,
    "Facebook's access token": facebook.TOKEN,
    "Facebook's app secret": facebook.APP_SECRET,
    "WhatsApp's access token": whatsapp.TOKEN,
    "WhatsApp's app secret": whatsapp.APP_SECRET,
    "WhatsApp's verify token": whatsapp.VERIFY_TOKEN,
}
LARGEST_FILE = 32 * 1024 * 1024
_MARKS = {name: secret.encode() for name, secret in PLANTED.items()}


def leaked_in(*parts: bytes) -> list[str]:
    """The names of the secrets that are in one of ``parts``, as it is or packed as a job's data and errors are."""
    forms = [form for part in parts for form in _forms(part)]
    return sorted(name for name, mark in _MARKS.items() if any(mark in form for form in forms))


def leaks_of_sections(sections: Iterable[tuple[str, str]]) -> list[str]:
    """What a test printed or logged."""
    return [f"{name} is in {title}" for title, text in sections for name in leaked_in(text.encode(errors="replace"))]


def leaks_of_folder(folder: Path) -> list[str]:
    """Every file that a test left: logs, outputs, databases (where credentials lie encrypted), reports.

    Not Python files: where a test installs a plugin, its sandbox's source is the one that plants.
    """
    found = []
    for path in folder.rglob("*"):
        try:
            if path.suffix in (".py", ".pyc") or path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size <= LARGEST_FILE:
                found += [f"{name} is in the file {path.relative_to(folder)}" for name in leaked_in(path.read_bytes())]
        except OSError:
            continue  # gone meanwhile, or a socket
    return found


def leaks_of_redis(url: str) -> list[str]:
    """Every key and value: payloads, errors, notes, progress, logs of jobs, events."""
    with redis.Redis.from_url(url) as client:
        keys = list(client.scan_iter(count=1000))
        found = []
        for start in range(0, len(keys), 500):
            found += _leaks_of_keys(client, keys[start : start + 500])
    return found


READ = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1),
    b"stream": ("XRANGE", "-", "+"),
}
"""The command that reads a key of each type whole; the key comes behind its name."""


def _leaks_of_keys(client: redis.Redis, keys: list[bytes]) -> list[str]:
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
        readable = [(key, READ[kind]) for key, kind in zip(keys, pipe.execute(), strict=True) if kind in READ]
        for key, (command, *bounds) in readable:
            pipe.execute_command(command, key, *bounds)
        values = pipe.execute()
    return [
        f"{name} is in the Redis key {key.decode(errors='replace')}"
        for (key, _), value in zip(readable, values, strict=True)
        for name in leaked_in(key, *_parts(value))
    ]


def _parts(value: Any) -> Iterator[bytes]:
    """The byte strings in an answer, however deep."""
    match value:
        case bytes():
            yield value
        case dict():
            for pair in value.items():
                yield from _parts(pair)
        case list() | tuple() | set():
            for item in value:
                yield from _parts(item)


def _forms(data: bytes) -> Iterator[bytes]:
    yield data
    for packed in (data, _from_base64(data)):
        try:
            yield zlib.decompress(packed)
        except zlib.error:
            continue


def _from_base64(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return b""

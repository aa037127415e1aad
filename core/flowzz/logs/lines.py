"""A line: what every one says, as JSON for machines and as text for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from pydantic_core import to_json

from flowzz.logs.redaction import is_harmless, redacted

_COLOURS = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}
_PLACE = "\N{ASTERISM}"
_HEAD = frozenset({"timestamp", "level", "event", "logger", "role", "pid", "exception", "stack"})


class Form:
    """Lines that differ only in the values of a few names; the rest of them is made once.

    For what happens for every job. The values are texts that name things (a job, an id, a queue) and numbers:
    nothing is starred out in them, so a value that may hold a secret goes into an ordinary line.
    """

    def __init__(self, names: Sequence[str], **always: str | int) -> None:
        self.level = str(always.get("level", "info"))
        self._names = tuple(names)
        self._always = always
        self._body = "".join(f',"{name}":%s' for name in names)

    def line(self, values: Sequence[str | int | float]) -> dict[str, Any]:
        """The same as an ordinary line."""
        return {**self._always, **dict(zip(self._names, values, strict=True))}

    def write(self, rows: Iterable[Sequence[str | int | float]], stamp: str, role: str, pid: int) -> bytes:
        """A line of JSON for each row, with a line feed between them."""
        head = serialise(complete(self._always, stamp, role, pid))[:-1].decode().replace("%", "%%")
        pattern = head + self._body + "}"
        return "\n".join(
            [pattern % tuple([quoted(one) if type(one) is str else one for one in row]) for row in rows]
        ).encode()

    def show(
        self, rows: Iterable[Sequence[str | int | float]], stamp: str, role: str, pid: int, *, colour: bool
    ) -> bytes:
        """A line for people for each row, as ``for_people`` writes it, with a line feed between them."""
        record = complete(self._always, stamp, role, pid) | dict.fromkeys(self._names, _PLACE)
        pattern = for_people(record, colour=colour).decode().replace("%", "%%").replace(_PLACE, "%s")
        return "\n".join([pattern % tuple([_shown(one) for one in row]) for row in rows]).encode(
            errors="backslashreplace"
        )


def as_line(record: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = {
        "timestamp": record.created,
        "level": record.levelname.lower(),
        "logger": record.name,
    }
    if isinstance(record.msg, dict):
        line.update(record.msg)
    else:
        line["event"] = record.getMessage()
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
    return line


def complete(line: Mapping[str, Any], stamp: str, role: str, pid: int) -> dict[str, Any]:
    """``line`` with what every line says, secrets starred out; ``stamp`` is used when it brings no time."""
    record: dict[str, Any] = {"timestamp": stamp, "level": "info", "event": "", "logger": "flowzz.jobs"}
    record["role"], record["pid"] = role, pid
    record.update(line if is_harmless(line) else redacted(line))
    record["role"], record["pid"] = role, pid
    if record["timestamp"] is not stamp:
        record["timestamp"] = iso(record["timestamp"])
    return record


def serialise(record: dict[str, Any]) -> bytes:
    try:
        return to_json(record, fallback=repr, inf_nan_mode="strings")
    except ValueError:  # text that UTF-8 cannot hold: half a surrogate pair, bytes of another encoding
        return json.dumps(record, default=repr).encode()


def iso(moment: Any) -> str:
    """A datetime, or seconds since the epoch, as ISO 8601 in UTC with microseconds."""
    if isinstance(moment, datetime):
        moment = moment.timestamp()
    if not isinstance(moment, int | float):
        return str(moment)
    seconds, fraction = divmod(round(moment * 1_000_000), 1_000_000)
    return f"{_iso_second(seconds)}.{fraction:06d}Z"


@lru_cache(maxsize=16)
def _iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def for_people(record: Mapping[str, Any], *, colour: bool) -> bytes:
    level = str(record["level"])
    details = " ".join(f"{name}={_shown(value)}" for name, value in record.items() if name not in _HEAD)
    where = f"{record['role']}[{record['pid']}] {record['logger']}"
    head = f"{record['timestamp'][:23]}Z"
    if colour:
        head, where = f"\x1b[2m{head}\x1b[0m", f"\x1b[36m{where}\x1b[0m"
        level = f"{_COLOURS.get(level, '')}{level.upper():<8}\x1b[0m"
        details = f"\x1b[2m{details}\x1b[0m" if details else ""
    else:
        level = f"{level.upper():<8}"
    text = f"{head} {level} {where}  {_one_line(str(record['event']))}" + (f"  {details}" if details else "")
    for extra in ("stack", "exception"):
        if record.get(extra):
            text += f"\n{record[extra]}"
    return text.encode(errors="backslashreplace")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value if value and " " not in value and value.isprintable() else repr(value)
    if type(value) in (int, float):
        return str(value)
    return serialise({"": value})[4:-1].decode(errors="replace")


def _one_line(text: str) -> str:
    """Text from elsewhere may hold line ends or control codes of the terminal."""
    return text if text.isprintable() else repr(text)[1:-1]

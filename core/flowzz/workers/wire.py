"""What a worker and the processes of its jobs say to each other, over sockets that nobody else has.

``link`` (a stream): the worker sends the assignment as one frame, then single bytes that tell; the job's process sends
its outcome as one frame. A frame is its length in 8 bytes, then JSON: a job's process can make its worker believe
an outcome, and nothing else.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError
from flowzz.jobs.outcome import (
    Canceled,
    Completed,
    ErrorInfo,
    Failed,
    Outcome,
    Parked,
    Postponed,
    Released,
    Retrying,
)
from flowzz.plugins.host import PluginHost
from flowzz.queues.claims import Claim
from flowzz.settings import Settings

TELL_CANCELED, TELL_LOST, TELL_STOPPING, TELL_TIMEOUT = b"c", b"l", b"s", b"t"
HEAD = struct.Struct("!Q")
OUTCOMES: dict[str, Callable[..., Outcome]] = {
    kind.__name__: kind for kind in (Canceled, Completed, Failed, Parked, Postponed, Released, Retrying)
}


class ToldSettings(Settings):
    """Settings that another process has told, whole: the environment has no say any more."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Boot:
    """What a nursery is told first, by the worker that started it.

    ``plugins`` are references ``module:attribute``; None means: those that are installed.
    """

    settings: Settings
    plugins: tuple[str, ...] | None

    @classmethod
    def of(cls, app: Flowzz) -> Boot:
        """Raises ConfigurationError when a plugin was given as an object, which no other process can find."""
        given = app.plugins.given
        for plugin in given or ():
            if not isinstance(plugin, str):
                raise ConfigurationError(
                    f"plugin {plugin.name!r} has jobs with processes of their own, so PluginHost.of expected it as "
                    "'module:attribute', which they can import; got the object"
                )
        return cls(app.settings, cast("tuple[str, ...] | None", given))

    def dump(self) -> bytes:
        """As JSON, with the secrets in the clear: for a private socket, never for a command line or a log."""
        settings = {name: getattr(self.settings, name) for name in Settings.model_fields}
        return json.dumps({"settings": settings, "plugins": self.plugins}, default=_plain).encode()

    @classmethod
    def read(cls, data: bytes) -> Boot:
        said = json.loads(data)
        plugins = said["plugins"]
        return cls(ToldSettings(**said["settings"]), None if plugins is None else tuple(plugins))

    def load(self) -> PluginHost:
        return PluginHost.discover(self.settings) if self.plugins is None else PluginHost.of(self.plugins)


def _plain(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value)
    raise TypeError(f"{type(value).__name__} is no setting that JSON can carry")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the process of a job is to run, and for whom."""

    claim: Claim
    worker: str

    def dump(self) -> bytes:
        """As one frame. The raw values of a claim are bytes, which JSON carries as Latin-1 text."""
        values = [value.decode("latin-1") if isinstance(value, bytes) else value for value in astuple(self.claim)]
        return frame([self.worker, values])

    @classmethod
    def read(cls, link: socket.socket) -> Assignment:
        """From a blocking socket; EOFError when the other end is gone."""
        (length,) = HEAD.unpack(_exactly(link, HEAD.size))
        worker, values = json.loads(_exactly(link, length))
        named = {
            field.name: value.encode("latin-1") if field.type == "bytes" else value
            for field, value in zip(fields(Claim), values, strict=True)
        }
        return cls(Claim(**named), worker)


def frame(value: Any) -> bytes:
    data = json.dumps(value).encode()
    return HEAD.pack(len(data)) + data


def dump_outcome(outcome: Outcome) -> bytes:
    """As one frame: the name of its class and its fields, the delay in seconds."""
    values = asdict(outcome)
    if "delay" in values:
        values["delay"] = values["delay"].total_seconds()
    return frame([type(outcome).__name__, values])


def load_outcome(data: bytes | bytearray) -> Outcome | None:
    """The outcome of a whole frame; None while it is not whole, or when it is no outcome."""
    if len(data) < HEAD.size or len(data) - HEAD.size < HEAD.unpack_from(data)[0]:
        return None
    try:
        name, values = json.loads(bytes(data[HEAD.size :]))
        if "delay" in values:
            values["delay"] = timedelta(seconds=values["delay"])
        if "error" in values:
            values["error"] = ErrorInfo(**values["error"])
        return OUTCOMES[name](**values)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _exactly(link: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = link.recv(min(length - len(data), 1 << 20))
        if not piece:
            raise EOFError("the other end is gone")
        data += piece
    return bytes(data)

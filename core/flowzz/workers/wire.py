"""What a worker and the processes of its jobs say to each other, over sockets that nobody else has.

``link`` (a stream): the worker sends the assignment as one frame, then single bytes that tell; the job's process sends
its outcome as one frame. A frame is its length in 8 bytes, then a pickle: both ends are the same program.
"""

from __future__ import annotations

import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

from flowzz.plugins.contributions import Plugin
from flowzz.plugins.host import PluginHost
from flowzz.queues.transitions import Claim
from flowzz.settings import Settings

TELL_CANCELED, TELL_LOST, TELL_STOPPING, TELL_TIMEOUT = b"c", b"l", b"s", b"t"
HEAD = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the process of a job is to run, and for whom."""

    claim: Claim
    worker: str


@dataclass(frozen=True, slots=True)
class Boot:
    """What a nursery is told first; ``plugins`` None means: those that are installed."""

    settings: Settings
    plugins: tuple[Plugin, ...] | None

    def load(self) -> PluginHost:
        return PluginHost.discover(self.settings) if self.plugins is None else PluginHost.of(self.plugins)


def frame(value: Any) -> bytes:
    data = pickle.dumps(value)
    return HEAD.pack(len(data)) + data


def unframe(data: bytes | bytearray) -> Any:
    """The value of a complete frame; None while it is incomplete. Raises what ``pickle`` does when it is damaged."""
    if len(data) < HEAD.size or len(data) - HEAD.size < HEAD.unpack_from(data)[0]:
        return None
    return pickle.loads(memoryview(data)[HEAD.size :])  # noqa: S301 - from our own process, over a private socket


def receive(link: socket.socket) -> Any:
    """One frame from a blocking socket; EOFError when the other end is gone."""
    (length,) = HEAD.unpack(_exactly(link, HEAD.size))
    return pickle.loads(_exactly(link, length))  # noqa: S301 - as above


def _exactly(link: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = link.recv(min(length - len(data), 1 << 20))
        if not piece:
            raise EOFError("the other end is gone")
        data += piece
    return bytes(data)

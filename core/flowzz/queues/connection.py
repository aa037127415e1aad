"""Connections to Redis, and Redis's errors in our words.

Four clients, because one pool for all would let a blocked worker starve a heartbeat: ``commands`` (5 s, retried: every
script may be repeated), ``blocking`` (waits up to a few seconds in one command), ``steady`` (5 s, no retry: heartbeats,
which come again anyway) and ``quick`` (1 s, no retry: health, which rather fails than hangs).

A server that says it is not the one to talk to (a replica, one that loads or has lost its cluster) costs the
connection: the next try resolves the name again, which by then may mean another server.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.connection import DefaultParser
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from flowzz.errors import ConfigurationError, QueueUnavailable

COMMAND_TIMEOUT_S = 5.0
QUICK_TIMEOUT_S = 1.0
BLOCK_AT_MOST_S = 5.0
PATIENCE = 4
"""An answer may take this many times its client's time-out in all; each of its pieces the time-out alone."""
RECONNECT_AFTER = (RedisConnectionError, RedisTimeoutError, socket.timeout, ReadOnlyError, ClusterDownError)
FULL = "Redis is out of memory and refuses writes; raise maxmemory or remove finished jobs"
REFUSALS = {
    "OOM command not allowed": FULL,
    "MISCONF ": "Redis cannot save its data and refuses writes; look at its log and its disk",
    "NOREPLICAS ": "Redis has too few replicas (min-replicas-to-write) and refuses writes until they are back",
    "is busy running a script": "Redis is held up by a script that does not end; SCRIPT KILL ends it",
}
"""What Redis's text holds → what we say, where redis-py has no class of its own."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of one process.

    Typed Any because redis-py's types leave open whether answers are bytes or text; ours are bytes.
    """

    commands: Any
    quick: Any
    steady: Any
    blocking: Any

    def reconnect(self) -> None:
        """Close the connections, those in use too; the next command opens new ones."""
        for client in (self.commands, self.quick, self.steady, self.blocking):
            pool = client.connection_pool
            pool.disconnect(inuse_connections=False)
            with pool._lock:
                for connection in pool._in_use_connections:
                    _hang_up(connection)

    def close(self) -> None:
        for client in (self.commands, self.quick, self.steady, self.blocking):
            client.close()


def connect(url: str) -> Clients:
    """Clients for ``url`` (redis://, rediss://, unix://); nothing is sent yet.

    Raises ConfigurationError for a URL that redis-py cannot read.
    """
    try:
        return Clients(
            commands=_client(url, COMMAND_TIMEOUT_S, _retry(2)),
            quick=_client(url, QUICK_TIMEOUT_S, _retry(0)),
            steady=_client(url, COMMAND_TIMEOUT_S, _retry(0)),
            blocking=_client(url, BLOCK_AT_MOST_S + 2, _retry(0)),
        )
    except ValueError as error:
        raise ConfigurationError(f"REDIS_URL: expected redis://, rediss:// or unix://; {error}") from None


def _retry(times: int) -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), times, RECONNECT_AFTER)


def _hang_up(connection: Any) -> None:
    """End the socket: whoever reads it sees that it closed and tidies up; to do so here would race with that."""
    link = connection._sock
    if link is not None:
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)


class BoundedParser(DefaultParser):  # type: ignore[misc, valid-type]
    """Reads one answer at a time, and gives up one that trickles in: time-outs of sockets begin anew with each byte."""

    _since: float | None = None

    def read_response(self, *args: Any, **options: Any) -> Any:
        self._since = None
        return super().read_response(*args, **options)

    def read_from_socket(self, *args: Any, **options: Any) -> Any:
        if self._since is None:
            self._since = time.monotonic()
        elif self._socket_timeout and time.monotonic() - self._since > PATIENCE * self._socket_timeout:
            raise RedisTimeoutError(f"its answer is not complete after {PATIENCE * self._socket_timeout:g} s")
        return super().read_from_socket(*args, **options)


class PatientClient(redis.Redis):
    """A client whose caller may have something else to do between a command and its answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._meanwhile = threading.local()

    @contextmanager
    def meanwhile(self, work: Callable[[], None]) -> Iterator[None]:
        """In the block this thread does ``work`` once, after it has sent a command and before it reads the answer.

        So Redis works at the same time. ``work`` must not call Redis. It is not done when nothing was sent.
        """
        self._meanwhile.work = work
        try:
            yield
        finally:
            self._meanwhile.work = None

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        work = getattr(self._meanwhile, "work", None)
        if work is not None:
            self._meanwhile.work = None
            try:
                work()
            except BaseException:
                super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
                raise  # only now: an answer left unread would be taken for that of the next command
        return super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]


def _client(url: str, timeout: float, retry: Retry) -> redis.Redis:
    return PatientClient.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 2.0),
        socket_keepalive=True,
        health_check_interval=30,
        retry=retry,
        parser_class=BoundedParser,
        client_name="flowzz",
        encoding_errors="replace",
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns what redis-py raises when Redis is away, full, busy, read-only or closed to us into QueueUnavailable."""
    try:
        yield
    except RedisError as error:
        raise QueueUnavailable(_in_our_words(error)) from error


def _in_our_words(error: RedisError) -> str:
    """What is wrong, and what a person can do about it."""
    text = str(error)
    match error:
        case OutOfMemoryError():
            return FULL
        case ReadOnlyError():
            return "Redis is read-only (a replica?); point REDIS_URL at the primary"
        case AuthenticationError():
            return "Redis refused our password; check REDIS_PASSWORD or REDIS_URL"
        case NoPermissionError():
            return f"Redis does not permit our user what Flowzz needs; extend its ACL: {text}"
        case BusyLoadingError():
            return "Redis is loading its data; try again in a moment"
        case ClusterDownError():
            return f"Redis has lost its cluster or its primary; it serves again when they are back: {text}"
        case RedisConnectionError() | RedisTimeoutError():
            return f"Redis cannot be reached: {text}"
    return next((ours for sign, ours in REFUSALS.items() if sign in text), f"Redis refused a command: {text}")

"""Connections to Redis, and Redis's errors in our words.

Three clients, because one pool for all would let a blocked worker starve a heartbeat: ``commands`` (5 s, retried: every
script may be repeated), ``blocking`` (waits up to a few seconds in one command) and ``quick`` (1 s, no retry: health
and heartbeats, which rather fail than hang).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
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
FULL = "Redis is out of memory and refuses writes; raise maxmemory or remove finished jobs"


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of one process.

    Typed Any because redis-py's types leave open whether answers are bytes or text; ours are bytes.
    """

    commands: Any
    quick: Any
    blocking: Any

    def reconnect(self) -> None:
        """Close the connections, those in use too; the next command opens new ones."""
        for client in (self.commands, self.quick, self.blocking):
            pool = client.connection_pool
            pool.disconnect(inuse_connections=False)
            with pool._lock:
                for connection in pool._in_use_connections:
                    _hang_up(connection)

    def close(self) -> None:
        for client in (self.commands, self.quick, self.blocking):
            client.close()


def connect(url: str) -> Clients:
    """Clients for ``url`` (redis://, rediss://, unix://); nothing is sent yet.

    Raises ConfigurationError for a URL that redis-py cannot read.
    """
    try:
        return Clients(
            commands=_client(url, COMMAND_TIMEOUT_S, Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 2)),
            quick=_client(url, QUICK_TIMEOUT_S, Retry(ExponentialWithJitterBackoff(), 0)),
            blocking=_client(url, BLOCK_AT_MOST_S + 2, Retry(ExponentialWithJitterBackoff(), 0)),
        )
    except ValueError as error:
        raise ConfigurationError(f"REDIS_URL: expected redis://, rediss:// or unix://; {error}") from None


def _hang_up(connection: Any) -> None:
    """End the socket: whoever reads it sees that it closed and tidies up; to do so here would race with that."""
    link = connection._sock
    if link is not None:
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)


def _client(url: str, timeout: float, retry: Retry) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 2.0),
        socket_keepalive=True,
        health_check_interval=30,
        retry=retry,
        client_name="flowzz",
        encoding_errors="replace",
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns what redis-py raises when Redis is away, full, read-only or closed to us into QueueUnavailable."""
    try:
        yield
    except OutOfMemoryError as error:
        raise QueueUnavailable(FULL) from error
    except ReadOnlyError as error:
        raise QueueUnavailable("Redis is read-only (a replica?); point REDIS_URL at the primary") from error
    except AuthenticationError as error:
        raise QueueUnavailable("Redis refused our password; check REDIS_PASSWORD or REDIS_URL") from error
    except BusyLoadingError as error:
        raise QueueUnavailable("Redis is loading its data; try again in a moment") from error
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
    except RedisError as error:
        if "OOM command not allowed" in str(error):
            raise QueueUnavailable(FULL) from error
        raise QueueUnavailable(f"Redis refused a command: {error}") from error

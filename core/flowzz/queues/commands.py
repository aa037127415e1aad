"""RQ's commands to one worker: JSON on the pub/sub channel ``rq:pubsub:<worker>``.

Nothing keeps them: a command that is sent while nobody listens is lost, so nothing may depend on one.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flowzz.queues.connection import redis_errors
from flowzz.queues.keys import PUBSUB


@dataclass(frozen=True, slots=True)
class Command:
    """``name`` is ``shutdown``, ``stop-job``, ``stop-execution``, ``kill-horse`` or what a later RQ may send."""

    name: str
    job_id: str = ""
    execution_id: str = ""


class CommandChannel:
    """The commands to one worker. Used by one thread; connects, and connects again, at the next call."""

    def __init__(self, client: Any, worker: str) -> None:
        self._client = client
        self._channel = PUBSUB(worker)
        self._pubsub: Any = None

    def next(self, timeout_s: float) -> Command | None:
        """The next command; None after ``timeout_s`` or for a message that is none. Raises QueueUnavailable."""
        try:
            with redis_errors():
                if self._pubsub is None:
                    self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
                    self._pubsub.subscribe(self._channel)
                message = self._pubsub.get_message(timeout=timeout_s)
        except Exception:
            self.close()
            raise
        return _command(message["data"]) if message else None

    def close(self) -> None:
        """Give the connection back; never raises."""
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(Exception):
                pubsub.close()


def _command(data: Any) -> Command | None:
    try:
        document = json.loads(data)
        name = document["command"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return Command(str(name), str(document.get("job_id", "")), str(document.get("execution_id", "")))

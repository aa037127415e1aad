"""gunicorn, run by us: one process of many threads behind a socket that the supervisor may own."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import structlog
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from flowzz.tether import tie_to

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = structlog.get_logger("flowzz.server")

THREADS = 16
GRACE_S = 10
"""Seconds that running requests get when the web stops."""


class QuietLogger(Logger):  # type: ignore[misc]
    """gunicorn's lines go where all ours go; requests are logged by the application, which knows what to hide."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)


class Server(BaseApplication):  # type: ignore[misc]
    """Serves what ``make`` gives. It is called in the serving process, after the fork, so no connection is shared.

    What ``make`` puts on the stack it gets is closed when the process ends.
    """

    def __init__(self, listener: socket.socket, make: Callable[[ExitStack], WSGIApplication]) -> None:
        self._url = "http://{}:{}".format(*listener.getsockname()[:2])
        self._descriptor = listener.detach()  # gunicorn makes a socket of its own of it and closes this one
        self._make = make
        self._resources = ExitStack()
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": [f"fd://{self._descriptor}"],
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": 60,
            "graceful_timeout": GRACE_S,
            "accesslog": None,
            "logger_class": QuietLogger,
            "control_socket_disable": True,
            "post_fork": _tie,
            "worker_exit": self._close,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        application = self._make(self._resources)
        log.info("serving", url=self._url, threads=THREADS)
        return application

    def _close(self, _arbiter: Any, _worker: Any) -> None:
        self._resources.close()


def _tie(arbiter: Any, _worker: Any) -> None:
    tie_to(arbiter.pid, signal.SIGKILL)


def listener_of(
    descriptor: int | None, host: str, port: int, listen: Callable[[str, int], socket.socket]
) -> socket.socket:
    """The socket the supervisor handed down, or one of our own."""
    return listen(host, port) if descriptor is None else socket.socket(fileno=descriptor)

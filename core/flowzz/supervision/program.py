"""A supervised process: one Flowzz command, started again whenever it ends by itself."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from flowzz.supervision.spawning import spawn

FLOWZZ = (sys.executable, "-P", "-m", "flowzz.cli")


class Program:
    """A child of the tree that stops on SIGTERM, and at once on a SIGINT after it.

    - ``goodbye``: what the log says when it is asked to stop.
    - ``grace_s``: seconds it then gets before it is killed.
    - ``restarts``: it ends on SIGUSR1 once its work is done, and another takes its place (a worker).
    - ``may_end``: when it ends by itself with exit 0 it is done, and not replaced (a worker in a burst).
    - ``sockets``: listening sockets it inherits; they close, for us too, when it is asked to stop, so that new
      connections are refused from that moment instead of waiting for nobody.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        goodbye: str,
        grace_s: float,
        environment: Mapping[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
        restarts: bool = False,
        may_end: bool = False,
    ) -> None:
        self.name = name
        self.goodbye = goodbye
        self.grace_s = grace_s
        self.restarts = restarts
        self.may_end = may_end
        self._command = list(command)
        self._environment = dict(environment or {})
        self._sockets = list(sockets)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def spawn(self) -> None:
        keep = [listener.fileno() for listener in self._sockets]
        self._process = spawn(self._command, environment=self._environment, keep=keep)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else 0

    def ask_to_stop(self, *, again: bool) -> None:
        for listener in self._sockets:
            listener.close()
        self._signal(signal.SIGINT if again else signal.SIGTERM)

    def ask_to_restart(self) -> None:
        self._signal(signal.SIGUSR1)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stopped(self) -> None:
        """Nothing to tidy up after a process."""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

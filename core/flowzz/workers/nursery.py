"""The nursery: a helper process with one thread and all plugins loaded, which forks one process a job.

    python -m flowzz.workers.nursery DESCRIPTOR

A worker has threads, so it must not fork; starting Python anew would cost every job its imports. The nursery reads
requests from its worker (``["start", n]`` with two descriptors, ``["kill", n, signal]``), writes the child's pid and
then its exit status to the second descriptor, and kills every child with its group, and what it left, when that
ends. It ends when its worker closes the socket or dies. Linux only, as are the ties between the processes.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog

from flowzz import logs
from flowzz.plugins.host import PluginHost
from flowzz.tether import adopt_orphans, tie_to
from flowzz.workers.child import run_child
from flowzz.workers.wire import Boot

MESSAGE_LIMIT = 1 << 17

log = structlog.get_logger("flowzz.nursery")


@dataclass(frozen=True, slots=True)
class Born:
    """A child of ours: the worker's number for it, and where its news go."""

    number: int
    status: int


class Nursery:
    """Serves one worker until its socket closes. ``run`` is what a child does with its link."""

    def __init__(self, control: socket.socket, run: Callable[[socket.socket], None]) -> None:
        self._control = control
        self._run = run
        self._children: dict[int, Born] = {}
        self._ended = False
        self._pid = os.getpid()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)

    def serve(self) -> None:
        adopt_orphans()
        signal.signal(signal.SIGCHLD, self._woken)
        signal.signal(signal.SIGTERM, self._stop)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            try:
                while not self._ended:
                    ready = {key.fileobj for key, _ in selector.select()}
                    self._reap()
                    if self._control in ready:
                        self._obey()
            finally:
                self._kill_all()

    def _woken(self, _number: int, _frame: FrameType | None) -> None:
        """Python forgets signals without a handler; the wake-up descriptor does the work."""

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._ended = True

    def _obey(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_LIMIT, 2)
        if not message:
            self._ended = True
            return
        order = json.loads(message)
        if order[0] == "start":
            self._start(order[1], *descriptors)
            return
        for pid, born in self._children.items():
            if born.number == order[1]:
                _kill_group(pid, order[2])

    def _start(self, number: int, link: int, status: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_born(link, status)
        with suppress(OSError):
            os.setpgid(pid, pid)
        os.close(link)
        self._children[pid] = Born(number, status)
        _say(status, f"{pid}\n")

    def _be_born(self, link: int, status: int) -> None:
        """In the child; never returns. Whatever happens before the outcome is sent is a crash of this one job."""
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            tie_to(self._pid, signal.SIGKILL)
            adopt_orphans()  # its daemons stay its own while it runs, and come to the nursery when it has ended
            self._control.close()
            siblings = [born.status for born in self._children.values()]
            for descriptor in (status, self._wake_reader, self._wake_writer, *siblings):
                os.close(descriptor)
            self._run(socket.socket(fileno=link))
            code = 0
        except BaseException:  # noqa: BLE001 - shown like any uncaught error, then the process ends
            sys.excepthook(*sys.exc_info())
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            os._exit(code)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._wake_reader, 4096):
                continue
        for pid in list(self._children):
            # Not reaped yet, its number still names its group: what the job left running goes first.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                _kill_group(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                born = self._children.pop(pid)
                self._end_leftovers()
                _say(born.status, f"{os.waitstatus_to_exitcode(status)}\n")
                os.close(born.status)

    def _end_leftovers(self) -> None:
        """Kill what jobs that have ended left in sessions of their own; what those started becomes ours then, in turn.

        While a job runs, its orphans are its own: whatever is ours here belongs to nobody.
        """
        while leftovers := [pid for pid in _children_of(self._pid) if pid not in self._children]:
            for pid in leftovers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _kill_all(self) -> None:
        for pid in self._children:
            _kill_group(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)
        self._children.clear()
        self._end_leftovers()


def _children_of(pid: int) -> list[int]:
    """Its children, in whatever group or session; none where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _say(descriptor: int, text: str) -> None:
    with suppress(OSError):
        os.write(descriptor, text.encode())


def _warn_of_threads(plugins: PluginHost) -> None:
    for record in plugins.records:
        if record.threads:
            log.warning(
                "a plugin started threads when it was imported; processes of jobs are forked beside them and may hang",
                plugin=record.name,
                threads=list(record.threads),
            )


def main(descriptor: str) -> None:
    control = socket.socket(fileno=int(descriptor))
    sys.path[:] = json.loads(control.recv(MESSAGE_LIMIT))
    boot = Boot.read(control.recv(MESSAGE_LIMIT))
    logs.configure(boot.settings, "job", console=False)
    plugins = boot.load()
    _warn_of_threads(plugins)
    gc.collect()
    gc.freeze()  # what is loaded stays shared with the children: no collection touches it
    Nursery(control, lambda link: run_child(boot.settings, plugins, link)).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])

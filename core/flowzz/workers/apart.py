"""The worker's side of jobs with processes of their own: its nursery, and the watch over one job's process.

The watch runs in the handler's thread. Time over, canceled or lease lost: the process is told, gets SIGTERM with its
whole group, and SIGKILL ``kill_grace`` seconds later. What the job's process sent is its outcome; one that ends without
is a crash.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from flowzz import tether
from flowzz.app import Flowzz
from flowzz.errors import FlowzzError, JobCrashed, JobTimeout
from flowzz.jobs.outcome import Canceled, Completed, Outcome, Released
from flowzz.workers.execution import Execution, retry_or_fail
from flowzz.workers.wire import (
    TELL_CANCELED,
    TELL_LOST,
    TELL_STOPPING,
    TELL_TIMEOUT,
    Assignment,
    Boot,
    load_outcome,
)

BORN_WITHIN_S = 60.0
"""Seconds until a job's process must have been forked; the first has to wait for the plugins to load."""
CLOSES_WITHIN_S = 5.0
MOST_S = 3600.0


class Pen:
    """A worker's nursery: started when it is first needed, and again after it died.

    Raises ConfigurationError when a job here needs a process that could not find the job's plugin.
    """

    def __init__(self, app: Flowzz) -> None:
        self._app = app
        needed = any(job.isolation == "process" for job in app.plugins.jobs.values())
        self._boot = Boot.of(app) if needed else None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def warm(self) -> None:
        """Start the nursery now, if any job here needs it; its plugins load meanwhile."""
        if self._boot is not None:
            with self._lock:
                self._ready()

    def start(self, link: socket.socket, status: int) -> int:
        """Ask for a process that gets ``link``; its number for ``kill``. OSError when it cannot be asked."""
        with self._lock:
            number = next(self._numbers)
            message = json.dumps(["start", number]).encode()
            try:
                socket.send_fds(self._ready(), [message], [link.fileno(), status])
            except OSError:
                self._bury()
                socket.send_fds(self._ready(), [message], [link.fileno(), status])
            return number

    def kill(self, number: int, signal_number: int) -> None:
        with self._lock, suppress(OSError):
            if self._control is not None:
                self._control.send(json.dumps(["kill", number, signal_number]).encode())

    def close(self) -> None:
        """Every process of every job here is dead when this returns; no more are started."""
        with self._lock:
            self._closed = True
            self._bury()

    def give_up(self) -> None:
        """The nursery does not answer: end it, and with it every process of every job here."""
        with self._lock:
            self._bury()

    def _ready(self) -> socket.socket:
        if self._closed or self._boot is None:
            raise OSError("this worker starts no more processes")
        if self._control is None or self._process is None or self._process.poll() is not None:
            self._bury()
            self._control = self._open(self._boot)
        return self._control

    def _open(self, boot: Boot) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        tied = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(int(signal.SIGTERM))]
        command = [sys.executable, "-P", "-m", "flowzz.workers.nursery", str(theirs.fileno())]
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [*tied, *command], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], process_group=0
        )
        theirs.close()
        ours.send(json.dumps([path for path in sys.path if path]).encode())
        ours.send(boot.dump())
        return ours

    def _bury(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(CLOSES_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def run(self, execution: Execution) -> Outcome:
        """The ``apart`` of an execution: run it in a process of its own, to its outcome."""
        try:
            return Watch(self, execution, self._app.settings.kill_grace).outcome()
        except OSError as error:
            if self._closed:
                return Released("its worker stopped")
            return _crashed(execution, JobCrashed(f"its process could not be started: {error}"))


@dataclass(slots=True)
class End:
    """What came of a process: its outcome if it sent one, its exit code if the nursery saw it."""

    outcome: Outcome | None = None
    exit_code: int | None = None


class Watch:
    """One job's process from its start to its end."""

    def __init__(self, pen: Pen, execution: Execution, grace_s: float) -> None:
        self._pen = pen
        self._execution = execution
        self._grace_s = grace_s
        self._why = b""
        self._signals = [signal.SIGTERM, signal.SIGKILL]
        self._next_s = time.monotonic() + BORN_WITHIN_S
        self._pid: int | None = None
        self._number = 0
        self._told = b""

    def outcome(self) -> Outcome:
        link, theirs = socket.socketpair()
        status, their_status = os.pipe()
        nudged, nudge = os.pipe()
        os.set_blocking(nudge, False)
        try:
            self._number = self._pen.start(theirs, their_status)
            theirs.close()
            os.close(their_status)
            their_status = -1
            self._execution.reporter.on_change(lambda: _nudge(nudge))
            end = self._follow(link, status, nudged)
        finally:
            self._execution.reporter.on_change(lambda: None)
            theirs.close()
            link.close()
            for descriptor in (status, their_status, nudged, nudge):
                if descriptor >= 0:
                    os.close(descriptor)
        return self._judge(end)

    def _follow(self, link: socket.socket, status: int, nudged: int) -> End:
        """Until the outcome is whole, or the nursery says that the process has ended (or is gone itself)."""
        link.setblocking(False)
        to_send = memoryview(Assignment(self._execution.claim, self._execution.worker).dump())
        sent, received, said, linked = 0, bytearray(), b"", True
        while True:
            writing = {link.fileno()} if sent < len(to_send) else set()
            reading = {status, nudged} | ({link.fileno()} if linked else set())
            readable, writable = _ready(reading, writing, self._next_s - time.monotonic())
            if writable:
                sent += _send(link, to_send[sent:])
            if nudged in readable:
                os.read(nudged, 4096)
            if link.fileno() in readable:
                piece = _read(link)
                received += piece
                linked = bool(piece)
            if (outcome := load_outcome(received)) is not None:
                return End(outcome=outcome)
            if status in readable:
                news = os.read(status, 4096)
                said += news
                self._born(said)
                if not news or said.count(b"\n") == 2:
                    received += _rest(link)
                    return End(load_outcome(received), int(said.split()[1]) if said.count(b"\n") == 2 else None)
            self._press(link)

    def _born(self, said: bytes) -> None:
        if self._pid is None and b"\n" in said:
            self._pid = int(said.split()[0])
            definition = self._execution.definition
            assert definition is not None  # noqa: S101 - resolved before it was performed
            if not self._why:
                self._next_s = time.monotonic() + definition.timeout.total_seconds()

    def _press(self, link: socket.socket) -> None:
        """Tell what there is to tell; end the process when its time is over, or it was canceled, or lost its lease."""
        reporter = self._execution.reporter
        now = time.monotonic()
        if reporter.stop_requested:
            self._tell(link, TELL_STOPPING)
        if not self._why and (reporter.lease_lost or reporter.cancel_requested):
            self._why = TELL_LOST if reporter.lease_lost else TELL_CANCELED
            self._next_s = now
        if now < self._next_s:
            return
        if not self._signals:
            self._next_s = float("inf")
            self._pen.give_up()
            return
        self._why = self._why or TELL_TIMEOUT
        self._tell(link, self._why)
        self._pen.kill(self._number, self._signals.pop(0))
        self._next_s = now + (self._grace_s if self._signals else BORN_WITHIN_S)

    def _tell(self, link: socket.socket, what: bytes) -> None:
        if what not in self._told:
            self._told += what
            with suppress(OSError):
                link.send(what)

    def _judge(self, end: End) -> Outcome:
        execution = self._execution
        if isinstance(end.outcome, Completed):
            return end.outcome
        if self._why == TELL_CANCELED:
            return Canceled("canceled while it ran")
        if end.outcome is not None:
            return end.outcome
        if self._why == TELL_LOST:
            return Released("the lease was lost")
        if self._why == TELL_TIMEOUT and self._pid is None:
            return _crashed(execution, JobCrashed(f"its process did not start within {BORN_WITHIN_S:g} s"))
        if self._why == TELL_TIMEOUT:
            seconds = execution.definition.timeout.total_seconds() if execution.definition else 0
            return _crashed(execution, JobTimeout(f"ran longer than its timeout of {seconds:g} s, and was killed"))
        return _crashed(execution, JobCrashed(in_words(end.exit_code, execution)))


def in_words(code: int | None, execution: Execution) -> str:
    """How a process ended that sent no outcome, for people."""
    if code is None:
        return "its process was lost: the helper that starts the processes of jobs died"
    if code >= 0:
        return f"its process exited with code {code} and without an outcome (os._exit, or a library that exits)"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    limit = execution.definition.memory_limit if execution.definition else None
    hint = ""
    if limit is not None and code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL):
        hint = f"; its memory_limit is {limit:,} bytes"
    elif code == -signal.SIGKILL:
        hint = "; the kernel does so when memory runs out"
    return f"its process was ended by {name}{hint}"


def _crashed(execution: Execution, error: FlowzzError) -> Outcome:
    return retry_or_fail(execution, error)


def _ready(reading: set[int], writing: set[int], seconds: float) -> tuple[set[int], set[int]]:
    """Those that can be read or written; ``poll``, because ``select`` knows no descriptor beyond 1023."""
    poller = select.poll()
    for descriptor in reading | writing:
        events = select.POLLIN if descriptor in reading else 0
        poller.register(descriptor, events | (select.POLLOUT if descriptor in writing else 0))
    found = poller.poll(math.ceil(min(MOST_S, max(0.0, seconds)) * 1000))
    ready = dict(found)
    readable = {one for one, events in ready.items() if events & ~select.POLLOUT}
    return readable & reading, {one for one in ready if one in writing and ready[one] & ~select.POLLIN}


def _nudge(descriptor: int) -> None:
    with suppress(OSError):
        os.write(descriptor, b"!")


def _send(link: socket.socket, data: memoryview) -> int:
    try:
        return link.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)  # it is gone; the nursery will say how


def _read(link: socket.socket) -> bytes:
    try:
        return link.recv(1 << 20)
    except OSError:
        return b""


def _rest(link: socket.socket) -> bytes:
    data = bytearray()
    while piece := _read(link):
        data += piece
    return bytes(data)

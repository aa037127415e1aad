"""The supervised tree: starts children, replaces those that die, stops them in order.

On SIGTERM, SIGINT or SIGHUP the stages stop one after the other: the next is asked only when the one before is gone.
A second signal forces it: whoever still works is told to drop it at once and is killed soon after.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

import structlog

from flowzz.supervision.signals import stopping_by
from flowzz.workers.ending import REPLACE_ME

log = structlog.get_logger("flowzz.up")

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0
STEADY_AFTER_S = 30.0
"""A child that lived this long starts its back-off anew when it dies."""
CRASH_LOOP = 5
"""From so many deaths in a row on, it is said to be a crash loop."""
FORCED_GRACE_S = 3.0
"""Seconds between a second signal and the kill."""


class Child(Protocol):
    """What the tree asks of a child; ``Program`` and ``BundledValkey`` are such."""

    name: str
    goodbye: str
    grace_s: float
    restarts: bool
    may_end: bool

    @property
    def pid(self) -> int | None: ...

    def spawn(self) -> None:
        """Start it, without waiting for it to be ready."""
        ...

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        ...

    def ask_to_stop(self, *, again: bool) -> None: ...

    def ask_to_restart(self) -> None:
        """End when what it works on is done; only asked of children with ``restarts``."""
        ...

    def kill(self) -> None: ...

    def stopped(self) -> None:
        """Called once it has ended after being asked to."""
        ...


@dataclass
class _Life:
    """How a child has been doing."""

    child: Child
    born: float = 0.0
    deaths: int = 0
    due: float | None = None
    has_ended: bool = False

    def back_off(self, now: float) -> float:
        """Seconds until it is started again: 0.2, 0.4, 0.8 … at most 30."""
        if now - self.born >= STEADY_AFTER_S:
            self.deaths = 0
        self.deaths += 1
        return min(FIRST_WAIT_S * 2.0 ** min(self.deaths - 1, 20), LONGEST_WAIT_S)


class Tree:
    """``stages`` in the order they stop; they start in the opposite one, except those that run already.

    With ``rolls``, SIGUSR1 restarts the children that can be, one after the other; SIGHUP too where no terminal is.
    """

    def __init__(self, stages: Sequence[Sequence[Child]], *, rolls: bool = False) -> None:
        self._stages = [[_Life(child) for child in stage] for stage in stages]
        self._rolls = rolls
        self._to_roll: list[_Life] = []
        self._rolling: tuple[_Life, int | None] | None = None
        self._stops = 0
        self._verdict = 0
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)

    def stop(self) -> None:
        """Begin the shutdown; the second call forces it, the third kills. Safe in threads and signal handlers."""
        self._stops += 1
        self._wake()

    def roll(self) -> None:
        """Restart the children that can be, each once the one before was replaced. Safe in signal handlers."""
        self._to_roll = [life for life in self._lives(self._stages) if life.child.restarts]
        self._wake()

    def run(self, beside: Callable[[], int | None] | None = None) -> int:
        """Keep everything running until it is told to stop; 0 when all ended well, else 1. In the main thread only.

        ``beside`` runs in a thread meanwhile. Once it returns a number the tree stops, and that is the exit code when
        the shutdown went well; None leaves everything running. What it raises is raised here, after the shutdown.
        """
        errors: list[BaseException] = []
        with self._signals():
            self._start()
            if beside is not None:
                threading.Thread(target=self._run_beside, args=(beside, errors), daemon=True, name="beside").start()
            while not self._stops:
                self._replace_the_dead()
                self._roll_on()
                self._sleep(self._next_due())
            code = self._shut_down()
        if errors:
            raise errors[0]
        return code or self._verdict

    def _run_beside(self, beside: Callable[[], int | None], errors: list[BaseException]) -> None:
        try:
            verdict = beside()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            errors.append(error)
            verdict = 1
        if verdict is not None:
            self._verdict = verdict
            if not self._stops:
                self.stop()

    def _start(self) -> None:
        for life in self._lives(reversed(self._stages)):
            if life.child.pid is None:
                life.child.spawn()
                log.info("started", child=life.child.name, child_pid=life.child.pid)
            life.born = time.monotonic()

    def _replace_the_dead(self) -> None:
        now = time.monotonic()
        for life in self._lives(self._stages):
            if life.due is not None:
                if now >= life.due:
                    self._replace(life, now)
            elif not life.has_ended and (code := life.child.poll()) is not None:
                if code == REPLACE_ME:
                    self._replace(life, now)
                    continue
                if code == 0 and life.child.may_end:
                    self._let_end(life)
                    continue
                wait = life.back_off(now)
                life.due = now + wait
                self._report_death(life, code, wait)

    def _let_end(self, life: _Life) -> None:
        life.has_ended = True
        log.info("is done", child=life.child.name)
        if all(other.has_ended for other in self._lives(self._stages)):
            self.stop()

    def _roll_on(self) -> None:
        """One child at a time: the next is asked when the one before has another process."""
        if self._rolling is not None:
            life, pid = self._rolling
            if life.child.pid == pid:
                return
            self._rolling = None
        if self._to_roll:
            life = self._to_roll.pop(0)
            log.info("is asked to restart when its work is done", child=life.child.name, child_pid=life.child.pid)
            self._rolling = (life, life.child.pid)
            life.child.ask_to_restart()

    def _report_death(self, life: _Life, code: int, wait: float) -> None:
        told = {"child": life.child.name, "how": in_words(code), "again_in_s": wait}
        if life.deaths >= CRASH_LOOP:
            log.error("keeps dying; it is tried again more and more slowly", deaths=life.deaths, **told)
        else:
            log.warning("died and will be replaced", **told)

    def _replace(self, life: _Life, now: float) -> None:
        life.due = None
        life.born = now
        try:
            life.child.spawn()
        except OSError as error:
            wait = life.back_off(now)
            life.due = now + wait
            log.error("cannot be started", child=life.child.name, error=str(error), again_in_s=wait)
            return
        log.info("replaced", child=life.child.name, child_pid=life.child.pid)

    def _next_due(self) -> float | None:
        due = [life.due for life in self._lives(self._stages) if life.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _shut_down(self) -> int:
        log.info("shutting down")
        clean = True
        for stage in self._stages:
            running = [life.child for life in stage if life.child.poll() is None]
            clean &= self._stop_stage(running)
            for life in stage:
                life.child.stopped()
        if self._stops > 1:
            log.warning("the shutdown was forced")
        return 0 if clean and self._stops <= 1 else 1

    def _stop_stage(self, children: list[Child]) -> bool:
        """Ask, wait, force, kill; True when every child ended by itself and well."""
        for child in children:
            log.info(child.goodbye, child=child.name)
            child.ask_to_stop(again=False)
        now = time.monotonic()
        deadlines = {child.name: now + child.grace_s for child in children}
        heard = 1
        clean = True
        while running := [child for child in children if child.poll() is None]:
            now = time.monotonic()
            if self._stops > heard:
                heard = self._stops
                for child in running:
                    child.ask_to_stop(again=True)
                    deadlines[child.name] = min(deadlines[child.name], now + (FORCED_GRACE_S if heard == 2 else 0))
            for child in running:
                if now >= deadlines[child.name]:
                    log.error("did not stop in time and is killed", child=child.name)
                    child.kill()
            nearest = min(deadlines[child.name] for child in running)
            self._sleep(max(0.0, nearest - now) if heard == self._stops else 0.0)
        for child in children:
            clean &= _ended_well(child)
        return clean

    def _lives(self, stages: Iterator[list[_Life]] | Sequence[list[_Life]]) -> Iterator[_Life]:
        for stage in stages:
            yield from stage

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def woken(_number: int, _frame: FrameType | None) -> None:
            """Python forgets signals without a handler; the wake-up descriptor does the work."""

        before = signal.signal(signal.SIGCHLD, woken)
        descriptor = signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        try:
            with stopping_by(self.stop, restart=self.roll if self._rolls else None):
                yield
        finally:
            signal.set_wakeup_fd(descriptor)
            signal.signal(signal.SIGCHLD, before)

    def _wake(self) -> None:
        try:
            os.write(self._wake_writer, b"!")
        except BlockingIOError:
            return  # full of wake-ups that nobody has read yet: one more says nothing new

    def _sleep(self, seconds: float | None) -> None:
        """Until a child ends, somebody calls ``stop``, or the time is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_reader, selectors.EVENT_READ)
            if selector.select(seconds):
                os.read(self._wake_reader, 4096)


def _ended_well(child: Child) -> bool:
    code = child.poll()
    # Before it has installed its handlers a child dies of SIGTERM itself; it had nothing in its hands then.
    if code in (0, -signal.SIGTERM):
        log.info("stopped", child=child.name)
        return True
    log.error("ended badly", child=child.name, how=in_words(code or 0))
    return False


def in_words(code: int) -> str:
    """An exit code for people: ``exit 1``, ``SIGKILL``."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

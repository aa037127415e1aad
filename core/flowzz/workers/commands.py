"""Does what RQ's ``send_stop_job_command``, ``send_stop_execution_command`` and ``send_shutdown_command`` ask for.

A thread that listens; commands are nudges, so when it cannot listen the worker works on, and it listens again later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from flowzz.errors import FlowzzError, QueueUnavailable
from flowzz.queues.commands import Command
from flowzz.queues.engine import Queues
from flowzz.workers.leases import Held

log = structlog.get_logger("flowzz.worker")

LISTEN_S, AGAIN_S = 1.0, 2.0


class CommandListener:
    """Obeys until stopped. ``held`` gives the worker's executions, ``stop`` is the worker's own."""

    def __init__(
        self, queues: Queues, worker: str, *, held: Callable[[], Sequence[Held]], stop: Callable[[], None]
    ) -> None:
        self._queues = queues
        self._channel = queues.commands(worker)
        self._held = held
        self._stop = stop
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="flowzz-commands", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Listen no more; the thread ends within a second and is not waited for."""
        self._stopped.set()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                command = self._channel.next(LISTEN_S)
                if command and not self._stopped.is_set():
                    self._obey(command)
            except QueueUnavailable as error:
                log.debug("cannot listen for commands", error=str(error), again_s=AGAIN_S)
                self._stopped.wait(AGAIN_S)
            except Exception:
                if not self._stopped.is_set():
                    log.exception("a command could not be obeyed")
                self._stopped.wait(AGAIN_S)
        self._channel.close()

    def _obey(self, command: Command) -> None:
        match command.name:
            case "shutdown":
                log.info("shutdown command received")
                self._stop()
            case "stop-job":
                self._cancel(command, lambda held: held[0].job_id == command.job_id)
            case "stop-execution":
                self._cancel(command, lambda held: held[0].execution_id == command.execution_id)
            case _:
                log.warning("command ignored: this worker has no work horse", command=command.name)

    def _cancel(self, command: Command, is_meant: Callable[[Held], bool]) -> None:
        """Stored as a cancel too, so that it holds when this worker is lost before its handler looks."""
        meant = [held for held in self._held() if is_meant(held)]
        if not meant:
            log.warning("not working on that job, command ignored", command=command.name, job_id=command.job_id)
        for claim, reporter in meant:
            log.info("job is to stop", command=command.name, job=claim.job, job_id=claim.job_id)
            reporter.mark_canceled()
            try:
                self._queues.cancel(claim.job_id, f"stopped by RQ's {command.name} command")
            except FlowzzError as error:
                log.warning("the cancel was not stored", job=claim.job, job_id=claim.job_id, error=str(error))

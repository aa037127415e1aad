"""The sweeper: every worker looks now and then for jobs whose worker is gone. One script, so any number may look."""

from __future__ import annotations

import threading

import structlog

from flowzz.app import Flowzz
from flowzz.errors import NotFound, QueueUnavailable
from flowzz.jobs.connection import ConnectionState
from flowzz.queues.reading import pack_text

log = structlog.get_logger("flowzz.sweeper")

BATCH = 100
PRUNE_EVERY_S = 60
"""A queue's finished jobs are looked at this often, by whichever worker comes first."""
PRUNE_BATCH = 500
STALLED_TEXT = pack_text(
    "Stalled: the job lost its worker more often than max_stalled admits (killed, out of memory, or cut off).\n"
    "See the attempts for when and which; a job that kills its worker each time is a poison job."
)


class Sweeper:
    """A thread that calls the rescue script every ``settings.sweep`` seconds, the first time at once."""

    def __init__(self, app: Flowzz) -> None:
        self._app = app
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sweep, name="flowzz-sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    def once(self) -> int:
        """Move up to 100 jobs; how many were moved. Raises QueueUnavailable."""
        moved = self._app.queues.transitions.rescue(
            limit=BATCH, keep_failed=self._app.settings.keep_failed, failure_text=STALLED_TEXT, max_stalled=1
        )
        for one in moved:
            log.warning("job rescued", queue=one.queue, job=one.job, job_id=one.job_id, now=one.now)
        return len(moved)

    def prune(self) -> int:
        """Let go of finished work that is too old or too much, in every queue that is due; how many. Raises
        QueueUnavailable.
        """
        settings, gone = self._app.settings, 0
        while not self._stopped.is_set():
            pruned = self._app.queues.transitions.prune(
                interval_ms=PRUNE_EVERY_S * 1000,
                keep_completed_s=settings.keep_completed_for,
                keep_failed_s=settings.keep_failed_for,
                keep_bytes=settings.keep_bytes,
                limit=PRUNE_BATCH,
            )
            if pruned is None:
                break
            queue, count = pruned
            gone += count
            if count:
                log.info("finished work pruned" if queue else "keys of lost jobs freed", queue=queue, count=count)
        return gone

    def unpark(self) -> None:
        """Jobs that a worker without their plugin parked meanwhile wait again. Raises QueueUnavailable."""
        if count := self._app.queues.transitions.unpark(list(self._app.plugins.jobs), some=True):
            log.info("parked jobs wait again", count=count)

    def park(self) -> None:
        """Jobs in queues that only an uninstalled plugin served are parked. Raises QueueUnavailable."""
        plugins = self._app.plugins
        orphaned = [name for name in self._app.queues.queue_names() if name not in plugins.queues]
        if count := self._app.queues.transitions.park(orphaned, list(plugins.jobs)):
            log.warning("jobs parked, no plugin registers them", count=count)

    def reconnect(self) -> None:
        """Jobs that wait for a connection which is active again, or gone, are due now. Raises QueueUnavailable."""
        for connection_id in self._app.queues.connections_waited_for():
            try:
                state = self._app.store.connection_by_id(connection_id).state
            except NotFound:
                state = ConnectionState.ACTIVE  # they will say so themselves
            if state is ConnectionState.ACTIVE and (count := self._app.queues.release_connection(connection_id)):
                log.info("jobs that waited for a connection run again", connection=connection_id, count=count)

    def mend(self) -> None:
        """Look at some keys for what others broke; a job must be astray for a lease. Raises QueueUnavailable."""
        settings = self._app.settings
        mended = self._app.queues.transitions.mend(
            keep_failed=settings.keep_failed, astray_for_ms=round(settings.lease * 1000)
        )
        if mended.put_back:
            log.warning("jobs that stood in no place were put back", count=mended.put_back)

    def _warn_of_eviction(self) -> None:
        try:
            problem = self._app.queues.memory_problem()
        except QueueUnavailable:
            return
        if problem:
            log.warning("redis may lose jobs", problem=problem)

    def _sweep(self) -> None:
        self._warn_of_eviction()
        while not self._stopped.is_set():
            try:
                if self.once() == BATCH:
                    continue
                self.unpark()
                self.park()
                self.prune()
                self.mend()
                self.reconnect()
            except QueueUnavailable as error:
                log.warning("sweep failed", error=str(error))
            except Exception:
                # Whatever Redis holds: a sweeper that ended would leave the jobs of lost workers where they are.
                log.exception("sweep failed")
            self._stopped.wait(self._app.settings.sweep)

"""A worker process: claims jobs, runs them in threads, settles them.

One dispatcher (the thread that calls ``run``) makes all the steps, so that everything finished since the last step is
settled by the call that claims the next jobs. Around it: handler threads, a lease keeper, a waiter, a sweeper.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError, QueueUnavailable
from flowzz.jobs.outcome import Failed, Released
from flowzz.limits import queue_rules
from flowzz.queues.claims import Settlement, StepReply
from flowzz.queues.epoch import Witness
from flowzz.workers.apart import Pen
from flowzz.workers.commands import CommandListener
from flowzz.workers.crew import Crew
from flowzz.workers.ending import REPLACE_ME, Limits
from flowzz.workers.eventloop import EventLoop
from flowzz.workers.execution import Execution, describe, never_returned, perform, prepare
from flowzz.workers.journal import Journal
from flowzz.workers.leases import Held, LeaseKeeper
from flowzz.workers.mailbox import Done, Mailbox, Waiter
from flowzz.workers.overseer import Overseer, Pulse
from flowzz.workers.reporter import Reporter
from flowzz.workers.settlement import done as done_with
from flowzz.workers.sweeper import Sweeper

log = structlog.get_logger("flowzz.worker")

POLL_S = 1.0
"""An idle worker looks at least this often, so a job that plain RQ pushed is found within a second."""
RETRY_FIRST_S, RETRY_MOST_S = 0.1, 2.0


class Worker:
    """Runs jobs of ``queues`` (default: all that plugins register), ``concurrency`` at a time.

    ``run`` blocks; ``stop`` and ``replace`` may be called from another thread or a signal handler.
    """

    def __init__(
        self,
        app: Flowzz,
        *,
        name: str | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
    ) -> None:
        self.app = app
        self.name = name or f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:6]}"
        self.queues = list(queues or _split(app.settings.queues) or app.plugins.queues)
        if not self.queues:
            raise ConfigurationError("this worker has no queue to serve: no plugin registers a job, and none is named")
        self.concurrency = concurrency or app.settings.concurrency
        self._transitions = app.queues.transitions
        self._held: dict[str, Held] = {}
        self._held_lock = threading.Lock()
        self._crew: Crew[Held] = Crew(self.concurrency, self._handle)
        self._claimed_now: list[Held] = []
        self._mailbox = Mailbox()
        self._stopping = threading.Event()
        self._forced = threading.Event()
        self._give_up_at = float("inf")
        self._asked = False
        self._replaced = ""
        self._limits = limits
        # Half, so that handlers run what one step claimed while Redis does the next.
        self._share = (self.concurrency + 1) // 2
        self._claimed = 0
        self._worked_s = 0.0
        self._address = ""
        self._turn = 0
        self._journal = Journal(self.name)
        self._waiter = Waiter(self._transitions, self.queues, self._mailbox.knock)
        self._sweeper = Sweeper(app)
        self._witness = Witness(self._transitions, self.name)
        self._forgotten = False
        self._listener = CommandListener(app.queues, self.name, held=self._holding, stop=self.stop)
        self._pen = Pen(app)
        self._loop = EventLoop()
        self._pulse = Pulse()
        self._overseer = self._watched()
        self._keeper = self._kept()

    def _watched(self) -> Overseer:
        settings = self.app.settings
        return Overseer(
            every=settings.heartbeat,
            timeout_grace=settings.timeout_grace,
            watchdog=settings.watchdog,
            max_memory=self._limits.max_memory,
            pulse=self._pulse,
            held=self._holding,
            give_up=self._give_up,
            replace=self.replace,
            reconnect=self.app.queues.reconnect,
        )

    def _kept(self) -> LeaseKeeper:
        settings = self.app.settings
        return LeaseKeeper(
            self._transitions,
            self.name,
            self.queues,
            lease=settings.lease,
            heartbeat=settings.heartbeat,
            held=self._holding,
            registration=self._registration,
            answered=self._look_for_a_loss,
        )

    def stop(self) -> None:
        """Claim no more; active jobs get ``settings.shutdown_grace`` to finish, then go back. Again: at once."""
        if self._asked:
            self._forced.set()
        self._asked = True
        self._give_up_at = min(self._give_up_at, time.monotonic() + self.app.settings.shutdown_grace)
        self._stopping.set()
        self._mailbox.knock()

    def replace(self, reason: str) -> None:
        """Claim no more, let what is active finish however long it takes, and ask for another worker in its place."""
        self._replaced = self._replaced or reason
        self._stopping.set()
        self._mailbox.knock()

    def run(self) -> int:
        """Work until stopped. 0 when every job finished, 1 when some went back to their queue unfinished.

        REPLACE_ME when it ended by itself, and another should take its place.
        """
        self._begin()
        try:
            self._work()
            unfinished = self._drain()
        finally:
            self._end()
        log.info("worker stopped", worker=self.name, unfinished=unfinished, replaced_because=self._replaced or None)
        return 1 if unfinished else REPLACE_ME if self._replaced and not self._asked else 0

    def _begin(self) -> None:
        self._pen.warm()
        self._crew.start()
        self._register()
        self._keeper.start()
        self._waiter.start()
        self._sweeper.start()
        self._listener.start()
        self._overseer.start()
        log.info("worker started", worker=self.name, queues=self.queues, concurrency=self.concurrency)

    def _register(self) -> None:
        """Registration and un-parking are repeated until Redis answers, or the worker is stopped."""
        delay = RETRY_FIRST_S
        while not self._stopping.is_set():
            try:
                self._keeper.beat()
                self._introduce()
            except QueueUnavailable as error:
                log.warning("redis is not reachable", error=str(error), again_s=round(delay, 1))
                self._stopping.wait(delay)
                delay = min(delay * 2, RETRY_MOST_S)
                continue
            return

    def _introduce(self) -> None:
        """Tell Redis what the plugins of this worker define. Raises QueueUnavailable."""
        defined = self.app.plugins.queue_limits
        self._transitions.define_limits(queue_rules(defined, {*self.queues, *defined}))
        if unparked := self._transitions.unpark(list(self.app.plugins.jobs)):
            log.info("parked jobs wait again", count=unparked)

    def _look_for_a_loss(self) -> None:
        self._forgotten = self._witness.look() or self._forgotten
        if self._forgotten:
            self._introduce()
            self._forgotten = False

    def _work(self) -> None:
        done: list[Done] = []
        while not self._stopping.is_set():
            self._pulse.beat()
            free = self.concurrency - len(self._held) + len(done)
            want = min(free, self._share, self._claims_left())
            reply = self._step(done, want=want) if done or free else None
            if self._limits.burst and reply and not reply.claims and not self._held:
                return
            if self._waiter.take_news() and not free:
                self._pass_news_on()
            room = self.concurrency - len(self._held)
            there_is_more = room and reply is not None and len(reply.claims) == want
            if not there_is_more:
                self._hand_over()
                if room and not self._stopping.is_set():
                    self._waiter.arm(_patience(reply))
                self._journal.write()
            done = self._mailbox.take(0 if there_is_more else POLL_S)
        self._hand_over()
        self._step_back(done)

    def _pass_news_on(self) -> None:
        """This worker took the wake-up marker but has no room: let an idle worker have it."""
        try:
            self._transitions.wake(self.queues)
        except QueueUnavailable as error:
            log.warning("could not pass news on; idle workers look by themselves", error=str(error))

    def _step(self, done: Sequence[Done], *, want: int) -> StepReply | None:
        """One step, repeated with the same token until Redis answers; None when a stopping worker gave up.

        What it could not settle then keeps its lease until that ends, and runs again elsewhere.
        """
        token = uuid.uuid4().hex
        settlements = [ended.settlement for ended in done]
        delay = RETRY_FIRST_S
        while True:
            try:
                reply = self._try_step(token, settlements, want)
            except QueueUnavailable as error:
                self._pulse.tried()
                self._hand_over()
                log.warning("step failed", error=str(error), settling=len(settlements), again_s=round(delay, 1))
                if self._forced.wait(delay) or time.monotonic() > self._give_up_at:
                    return None
                delay = min(delay * 2, RETRY_MOST_S)
                continue
            self._accept(done, reply)
            return reply

    def _try_step(self, token: str, settlements: Sequence[Settlement], want: int) -> StepReply:
        settings = self.app.settings
        turn = self._turn % len(self.queues)
        self._turn += 1
        return self._transitions.step(
            self.name,
            token,
            lease_ms=round(settings.lease * 1000),
            want=want,
            keep_completed=settings.keep_completed,
            keep_failed=settings.keep_failed,
            queues=self.queues[turn:] + self.queues[:turn],
            settlements=settlements,
            meanwhile=self._while_redis_works,
        )

    def _accept(self, done: Sequence[Done], reply: StepReply) -> None:
        held = [(claim, Reporter(self._transitions, claim, self._stopping)) for claim in reply.claims]
        with self._held_lock:
            for ended in done:
                self._held.pop(ended.claim.execution_id, None)
            for one in held:
                self._held[one[0].execution_id] = one
        self._claimed_now += held
        self._worked_s += sum(reply.now_ms / 1000 - ended.claim.started_at for ended in done)
        self._journal.note(done, reply)
        self._claimed += len(reply.claims)
        if self._claims_left() == 0:
            self.replace(f"it took {self._claimed} jobs")

    def _while_redis_works(self) -> None:
        """What the step before brought: were it done before the next one is sent, Redis and handlers took turns."""
        self._hand_over()
        self._journal.write()

    def _hand_over(self) -> None:
        """Let the threads have what was claimed."""
        claimed, self._claimed_now = self._claimed_now, []
        self._crew.give(claimed)

    def _claims_left(self) -> int:
        """How many more jobs this worker may take, up to its concurrency."""
        most = self._limits.max_jobs
        return self.concurrency if most is None else min(self.concurrency, max(0, most - self._claimed))

    def _handle(self, held: Held) -> None:
        claim, reporter = held
        if self._forced.is_set():
            return
        execution = prepare(Execution(self.app, self.name, claim, reporter, self._pen.run))
        definition = execution.definition
        if execution.outcome is not None or definition is None:
            self._finished(execution)
        elif definition.is_async and definition.isolation == "thread":
            self._loop.submit(execution, self._finished)
        else:
            self._finished(perform(execution))

    def _finished(self, execution: Execution) -> None:
        try:
            done = done_with(execution.claim, execution.outcome or Released("nothing ran it"))
        except Exception as error:  # noqa: BLE001 - a signal of a plugin's own class may hold anything
            done = done_with(execution.claim, Failed(describe(error)))
        self._mailbox.put(done)

    def _give_up(self, held: Held) -> None:
        """Settle without its handler; nothing is claimed from here on, so no job waits for the thread it holds."""
        claim, reporter = held
        self.replace(f"the handler of job {claim.job_id} never returned")
        reporter.mark_lost()
        execution = Execution(self.app, self.name, claim, reporter)
        grace = timedelta(seconds=self.app.settings.timeout_grace)
        self._mailbox.put(done_with(claim, never_returned(execution, grace)))

    def _step_back(self, done: Sequence[Done]) -> None:
        self._pulse.beat()
        if done:
            self._step(done, want=0)
        self._journal.write()

    def _drain(self) -> int:
        """Settle what finishes within the grace; hand the rest back. Returns how many were handed back."""
        if self._held:
            log.info("waiting for active jobs", worker=self.name, active=len(self._held))
        for _, reporter in self._holding():
            reporter.nudge()
        while self._held and not self._forced.is_set() and (left := self._give_up_at - time.monotonic()) > 0:
            self._step_back(self._mailbox.take(min(left, POLL_S)))
        self._step_back(self._mailbox.take(0))
        unfinished = [done_with(claim, Released("its worker stopped")) for claim, _ in self._holding()]
        if unfinished:
            log.warning("handing unfinished jobs back", worker=self.name, count=len(unfinished))
            self._forced.set()
            self._pen.close()
            self._step_back(unfinished)
        return len(unfinished)

    def _end(self) -> None:
        self._crew.close()
        self._overseer.stop()
        self._pen.close()
        self._loop.close()
        self._sweeper.stop()
        self._listener.close()
        self._waiter.close()
        self._keeper.stop()
        try:
            self._transitions.deregister(self.name, self.queues)
        except QueueUnavailable as error:
            log.warning("could not sign off", worker=self.name, error=str(error))

    def _holding(self) -> list[Held]:
        with self._held_lock:
            return list(self._held.values())

    def _state(self) -> str:
        if self._overseer.is_silent:
            return "silent"
        if self._stopping.is_set():
            return "stopping"
        return "busy" if self._held else "idle"

    def _registration(self) -> Mapping[str, str | int]:
        """Raises QueueUnavailable."""
        self._address = self._address or self.app.queues.own_address()
        active = len(self._held)
        return {
            "hostname": socket.gethostname(),
            "ip_address": self._address,
            "pid": os.getpid(),
            "queues": ",".join(self.queues),
            "state": "busy" if active else "idle",
            "total_working_time": f"{self._worked_s:.3f}",
            "flowzz_state": self._state(),
            "flowzz_concurrency": self.concurrency,
            "flowzz_active": active,
        }


def _patience(reply: StepReply | None) -> float:
    """How long an idle worker may block: until the next delayed job is due, at most a second."""
    if reply is None or reply.next_due_ms < 0:
        return POLL_S
    return min(POLL_S, max(0.0, (reply.next_due_ms - reply.now_ms) / 1000))


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]

"""One object that holds the parts together: settings, plugins, database and queues."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import structlog
from pydantic import BaseModel

from flowzz.clock import now
from flowzz.errors import (
    ConfigurationError,
    DuplicateJob,
    FlowzzError,
    InvalidRequest,
    ParentNotFound,
    QueueUnavailable,
    UnknownQueue,
)
from flowzz.health import HealthReport, report
from flowzz.jobs.notifications import Notification, Notified
from flowzz.jobs.options import Batch, Enqueued, EnqueueOptions, Submission
from flowzz.jobs.sources import DataSource
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import Overlap, Schedule
from flowzz.plugins.host import PluginHost
from flowzz.plugins.notifying import notify_all
from flowzz.preparing import new_job
from flowzz.queues.engine import Queues
from flowzz.queues.health import health_of, unreachable
from flowzz.queues.new_job import NewJob
from flowzz.queues.pauses import PauseKind
from flowzz.queues.records import QueueStats
from flowzz.queues.schedules import FireReply
from flowzz.settings import Settings
from flowzz.store import Store

log = structlog.get_logger("flowzz.app")

HEALTH_WITHIN_S = 1.8
LARGEST_BATCH = 1000
BULK = 500
"""Jobs that one script call stores."""


NO_OPTIONS = EnqueueOptions()


class Flowzz:
    """An open Flowzz. Safe to share between threads; make one a process, after a fork."""

    def __init__(self, settings: Settings, plugins: PluginHost, store: Store, queues: Queues) -> None:
        self.settings = settings
        self.plugins = plugins
        self.store = store
        self.queues = queues
        self._probes = ThreadPoolExecutor(max_workers=4, thread_name_prefix="flowzz-health")

    @classmethod
    def open(cls, settings: Settings, *, plugins: PluginHost | None = None, redis_url: str | None = None) -> Flowzz:
        """Load plugins, open the database and address Redis (``redis_url`` wins over the settings).

        Nothing is sent to Redis yet, so a dead Redis shows at the first call, as QueueUnavailable. Raises
        ConfigurationError when the settings name no Redis or cannot be read.
        """
        url = redis_url or settings.resolve_redis_url()
        if url is None:
            raise ConfigurationError(
                "no Redis is known: set REDIS_URL (or REDIS_HOST), or start the bundled one with `flowzz up`"
            )
        return cls(
            settings,
            plugins if plugins is not None else PluginHost.discover(settings),
            Store.open(settings),
            Queues.open(url, keep_failed=settings.keep_failed),
        )

    def close(self) -> None:
        """Close the queues first, then the database."""
        self._probes.shutdown(wait=False, cancel_futures=True)
        self.queues.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def enqueue(self, job: str, payload: Mapping[str, Any] | BaseModel, options: EnqueueOptions | None = None) -> str:
        """As ``submit``; returns the job's id, or that of the job that stands for it."""
        return self.submit(job, payload, options).id

    def submit(
        self, job: str, payload: Mapping[str, Any] | BaseModel, options: EnqueueOptions | None = None
    ) -> Enqueued:
        """Validate the payload and put the job into its queue, in one script call.

        Repeats with the same ``job_id`` and ``nonce`` are one job; so are jobs with the same duplicates key (see
        ``flowzz.jobs.duplicates``): the earlier one's id is returned, not ``created``. Raises UnknownJob,
        InvalidPayload, PayloadTooLarge, DuplicateJob (nothing was stored), or QueueUnavailable (whether it was stored
        is unknown: repeat with the same id and nonce).
        """
        return self._store([self.prepare(job, payload, options or NO_OPTIONS)])[0]

    def enqueue_many(self, jobs: Iterable[Submission | tuple[Any, ...]]) -> list[Enqueued]:
        """Validate all of ``(job, payload)`` or ``(job, payload, options)`` and put them into their queues, in order.

        Nothing is stored when one is refused (the errors are those of ``submit``; ``part`` says which: ``jobs.0``). One
        script call, all or nothing, for each 500 jobs: should Redis go away, or another caller take an id of ours,
        between two calls, the earlier hundreds stay. To repeat after QueueUnavailable give each job an id and a nonce.
        """
        new = self._prepare_all(jobs)
        if len(new) > BULK and (taken := self.queues.taken([(job.id, job.envelope.dump()) for job in new])):
            raise DuplicateJob(taken[0])
        return [made for start in range(0, len(new), BULK) for made in self._store(new[start : start + BULK])]

    def _prepare_all(self, jobs: Iterable[Submission | tuple[Any, ...]]) -> list[NewJob]:
        new: list[NewJob] = []
        for place, given in enumerate(jobs):
            new.append(self._prepare_part(f"jobs.{place}", Submission(*given)))
        if twice := [job_id for job_id, times in Counter(job.id for job in new).items() if times > 1]:
            raise InvalidRequest(f"expected each jobId once in a bulk, got {twice[0]!r} more than once")
        return new

    def _prepare_part(self, part: str, given: Submission) -> NewJob:
        try:
            return self.prepare(given.job, given.payload, given.options or NO_OPTIONS)
        except FlowzzError as error:
            raise error.about(part) from None

    def chain(self, jobs: Iterable[Submission | tuple[Any, ...]]) -> list[str]:
        """Enqueue ``(job, payload)`` or ``(job, payload, options)``, each to run once the one before it completed.

        Their ids, in order; one script call, all or nothing, at most 500. When one fails, those behind it are canceled
        (or what ``on_parent_failure`` of their options says). Errors are those of ``enqueue_many``.
        """
        links: list[Submission] = []
        for job, payload, options in _with_options(jobs):
            named = replace(options, job_id=options.job_id or str(uuid.uuid4()))
            if links and (before := links[-1].options) and before.job_id:
                named = replace(named, depends_on=(*named.depends_on, before.job_id))
            links.append(Submission(job, payload, named))
        if len(links) > BULK:
            raise InvalidRequest(f"expected a chain of at most {BULK} jobs, got {len(links)}")
        return [made.id for made in self.enqueue_many(links)]

    def batch(
        self,
        jobs: Iterable[Submission | tuple[Any, ...]],
        *,
        callback: Submission | tuple[Any, ...] | None = None,
        on_failure: Submission | tuple[Any, ...] | None = None,
        batch_id: str | None = None,
        nonce: str | None = None,
    ) -> Batch:
        """Enqueue 1 to 1,000 jobs together; when all have ended, ``callback`` is enqueued, exactly once.

        ``on_failure`` is enqueued in its place when a member failed for good or was canceled or removed; without one,
        ``callback`` is. Its job id is ``<batch id>-done``; a member's, unless given, ``<batch id>-1`` and so on.
        One script call, all or nothing; the same ``batch_id`` and ``nonce`` again are the same batch. Raises what
        ``enqueue_many`` raises; DuplicateJob also for the batch's id.
        """
        batch_id = batch_id or str(uuid.uuid4())
        done = EnqueueOptions(job_id=f"{batch_id}-done", nonce=nonce or uuid.uuid4().hex)
        members = self._prepare_all(
            Submission(job, payload, replace(options, job_id=options.job_id or f"{batch_id}-{place}"))
            for place, (job, payload, options) in enumerate(_with_options(jobs), start=1)
        )
        if not 1 <= len(members) <= LARGEST_BATCH:
            raise InvalidRequest(f"expected a batch of 1 to {LARGEST_BATCH} jobs, got {len(members)}")
        ends: list[NewJob | None] = []
        for part, given in (("callback", callback), ("onFailure", on_failure)):
            if given is None:
                ends.append(None)
                continue
            job, payload, options = Submission(*given)
            named = replace(options or done, job_id=done.job_id, nonce=done.nonce)
            ends.append(self._prepare_part(part, Submission(job, payload, named)))
        if any(ends) and done.job_id in {job.id for job in members}:
            raise DuplicateJob(str(done.job_id))
        answer, place = self.queues.transitions.batch(batch_id, str(done.nonce), members, ends[0], ends[1])
        if answer == -1:
            raise DuplicateJob(batch_id)
        if answer == -2:
            raise DuplicateJob(members[place - 1].id).about(f"jobs.{place - 1}")
        if answer == -3:
            missing = ParentNotFound(members[place - 1].id, members[place - 1].admission.parents)
            raise missing.about(f"jobs.{place - 1}")
        return Batch(batch_id, tuple(job.id for job in members))

    def _store(self, new: Sequence[NewJob]) -> list[Enqueued]:
        answers = self.queues.transitions.enqueue(new)
        for job, answer in zip(new, answers, strict=True):
            if answer == -1:
                raise DuplicateJob(job.id)
            if answer == -3:
                raise ParentNotFound(job.id, job.admission.parents)
        return [
            Enqueued(answer, created=False) if isinstance(answer, str) else Enqueued(job.id, created=answer == 1)
            for job, answer in zip(new, answers, strict=True)
        ]

    def prepare(
        self,
        job: str,
        payload: Mapping[str, Any] | BaseModel,
        options: EnqueueOptions,
        *,
        schedule: str | None = None,
    ) -> NewJob:
        """A validated job, not stored yet. Raises UnknownJob, InvalidPayload or PayloadTooLarge."""
        most = self.settings.max_payload_bytes
        return new_job(self.plugins.job(job), payload, options, schedule=schedule, max_bytes=most)

    def fire(self, schedule: Schedule, tick: datetime, *, revision: int | None = None) -> FireReply:
        """Claim one tick of a schedule and enqueue its jobs, unless another process has.

        One job a payload; its id is made of the schedule, the tick and its place, so no tick enqueues it twice.
        ``revision`` is that of the run-time edits the tick was computed from.
        """
        return self.queues.transitions.fire(
            schedule.name,
            int(tick.timestamp() * 1000),
            self._jobs_of(schedule, str(int(tick.timestamp()))),
            revision=revision,
            exclusive=schedule.overlap is Overlap.SKIP,
        )

    def run_schedule(self, schedule: Schedule, run_id: str, by: str) -> FireReply:
        """Enqueue the schedule's jobs now, once a ``run_id``; its ticks come as before."""
        return self.queues.transitions.fire(
            schedule.name,
            int(now().timestamp() * 1000),
            self._jobs_of(schedule, f"run-{run_id}"),
            how="run",
            exclusive=schedule.overlap is Overlap.SKIP,
            by=by,
            run_id=run_id,
        )

    def _jobs_of(self, schedule: Schedule, run: str) -> list[NewJob]:
        """A payload that is refused, one company's say, holds the others up no longer than its log line takes.

        Raises what was wrong with the first when none is left.
        """
        # RQ refuses ids with dots, and schedules have no dashes, so two of them never meet.
        stem = f"{schedule.name.replace('.', '-')}-{run}"
        jobs: list[NewJob] = []
        refused: list[InvalidRequest] = []
        for place, payload in enumerate(schedule.payloads(self.store)):
            name = f"{stem}-{place}"
            spread = schedule.spread * random.random()  # noqa: S311 - spreads load, guards nothing
            options = EnqueueOptions(job_id=name, nonce=name, delay=spread)
            try:
                jobs.append(self.prepare(schedule.job, payload, options, schedule=schedule.name))
            except InvalidRequest as error:
                log.error("a payload was refused", schedule=schedule.name, place=place, error=str(error))
                refused.append(error)
        if refused and not jobs:
            raise refused[0]
        return jobs

    def job_states(self, ids: Sequence[str]) -> Mapping[str, JobState]:
        """How those jobs stand; one that is gone is left out. Raises QueueUnavailable."""
        return self.queues.states(ids)

    def data_sources(self, topic: str) -> tuple[DataSource, ...]:
        """What loaded plugins offer on that topic, by name."""
        return tuple(one for _, one in sorted(self.plugins.data_sources.items()) if one.topic == topic)

    def notify(self, notification: Notification) -> Notified:
        """Give it to every notifier. Never raises for what one raises: it is logged, and told of in the answer."""
        return notify_all(self.plugins, notification, self.store, self)

    def pause(self, kind: PauseKind, name: str, reason: str, *, until: datetime | None = None, by: str = "") -> None:
        """Hold back a queue, a type of job or a company, until somebody resumes it or ``until`` has passed.

        ``by`` is who does so; explanations and lists name them.

        What runs, finishes. A pause of the same thing is replaced. Raises UnknownQueue, UnknownJob, or InvalidRequest
        when ``until`` is over already.
        """
        if kind is PauseKind.QUEUE:
            self.known_queue(name)
        elif kind is PauseKind.JOB:
            self.plugins.job(name)
        if until is not None and until <= now():
            raise InvalidRequest(f"expected until to be in the future, got {until.isoformat()}")
        self.queues.pause_any(kind, name, reason, until=until, by=by)

    def known_queue(self, name: str) -> str:
        """``name``, if a plugin or Redis knows that queue; raises UnknownQueue with the nearest."""
        known = {*self.plugins.queues, *self.queues.queue_names()}
        if name not in known:
            raise UnknownQueue(name, sorted(known))
        return name

    def stats(self, *, quick: bool = False) -> list[QueueStats]:
        """Counts of every queue: those of the plugins and any other that RQ has registered, by name."""
        names = sorted({*self.plugins.queues, *self.queues.queue_names(quick=quick)})
        return self.queues.stats(names, quick=quick)

    def health(self) -> HealthReport:
        """The public health report, within 2 s even when Redis does not answer. Never raises.

        A queue is unhealthy when its keys cannot be read, or when a job has waited longer than
        ``settings.health_grace`` and no live worker serves it; a queue that a person paused is not.
        """
        probe = self._probes.submit(self.stats, quick=True)
        try:
            stats = probe.result(timeout=HEALTH_WITHIN_S)
        except (QueueUnavailable, FutureTimeout):
            probe.cancel()
            return report(now(), redis_connected=False, queues=[unreachable(name) for name in self.plugins.queues])
        grace = self.settings.health_grace
        return report(now(), redis_connected=True, queues=[health_of(queue, grace) for queue in stats])


def _with_options(
    jobs: Iterable[Submission | tuple[Any, ...]],
) -> Iterator[tuple[str, Mapping[str, Any] | BaseModel, EnqueueOptions]]:
    for given in jobs:
        job, payload, options = Submission(*given)
        yield job, payload, options or EnqueueOptions()


__all__: Sequence[str] = ["Flowzz"]

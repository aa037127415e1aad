"""The queues as the rest of Flowzz sees them: reading jobs, and what people do to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from redis.exceptions import ResponseError

from flowzz import clock
from flowzz.errors import BatchNotFound, JobNotFound, NotAllowedInState, QueueUnavailable
from flowzz.jobs.state import STATE_OF_RQ_STATUS, JobState
from flowzz.queues import census, keys, unconnected
from flowzz.queues.batches import BatchRecord, read_batch
from flowzz.queues.commands import CommandChannel
from flowzz.queues.connection import Clients, connect, redis_errors
from flowzz.queues.epoch import data_loss
from flowzz.queues.events import BEGINNING, MOST, Event, EventPage, follow, read_events, read_last_events
from flowzz.queues.explain import Explanation, explain
from flowzz.queues.limiting import LimitPage, read_limits
from flowzz.queues.memory import memory_problem
from flowzz.queues.pauses import Pause, PauseKind, read_pauses, target
from flowzz.queues.reading import read_attempt, read_job, read_log_line
from flowzz.queues.records import AttemptRecord, JobPage, JobRecord, LogLine, QueueStats, WorkerInfo
from flowzz.queues.schedules import ScheduleState, TickRecord, read_states, read_ticks
from flowzz.queues.transitions import Transitions

REGISTRIES = {
    JobState.ACTIVE: keys.WIP,
    JobState.COMPLETED: keys.FINISHED,
    JobState.FAILED: keys.FAILED,
    JobState.DELAYED: keys.SCHEDULED,
    JobState.PARKED: keys.PARKED,
    JobState.DEFERRED: keys.DEFERRED,
    JobState.CANCELED: keys.CANCELED,
}
NEWEST_FIRST = {JobState.COMPLETED, JobState.FAILED, JobState.CANCELED}
MOST_PER_PAGE = 500


class Queues:
    """All queues in one Redis. Every method raises QueueUnavailable when Redis is away."""

    def __init__(self, clients: Clients, *, keep_failed: int = 200) -> None:
        self._clients = clients
        self._keep_failed = keep_failed
        self.transitions = Transitions(clients)

    @classmethod
    def open(cls, url: str, *, keep_failed: int = 200) -> Queues:
        """Queues at a Redis URL; nothing is sent yet. Raises ConfigurationError for a URL that cannot be read."""
        return cls(connect(url), keep_failed=keep_failed)

    def close(self) -> None:
        self._clients.close()

    def reconnect(self) -> None:
        """Close every connection: whoever waits on one gets QueueUnavailable, and the next call connects anew."""
        self._clients.reconnect()

    def ping(self) -> bool:
        """True when Redis answers within a second."""
        try:
            with redis_errors():
                return bool(self._clients.quick.ping())
        except QueueUnavailable:
            return False

    def job(self, job_id: str) -> JobRecord:
        """The job as it stands. Raises JobNotFound."""
        found = self._read([job_id])
        if not found:
            raise JobNotFound(job_id)
        return found[0]

    def states(self, ids: Sequence[str]) -> dict[str, JobState]:
        """How those jobs stand; one that was removed, or whose retention has passed, is left out."""
        return {job.id: job.state for job in self._read(ids)} if ids else {}

    def jobs(self, queue: str, state: JobState, *, offset: int = 0, limit: int = 50) -> JobPage:
        """Jobs of one queue in one state: what runs next first, what ended last first. ``limit`` at most 500."""
        offset, limit = max(0, offset), min(max(1, limit), MOST_PER_PAGE)
        ids, total = self._ids(queue, state, offset, limit)
        return JobPage(self._read(ids), total, offset, limit)

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """Every execution of the job that ended, oldest first (the last 100)."""
        with redis_errors():
            entries = self._clients.commands.xrange(keys.RESULTS(job_id))
        return [read_attempt(entry_id, entry) for entry_id, entry in entries]

    def log(self, job_id: str) -> list[LogLine]:
        """The lines the handler logged, oldest first (the last 1,000)."""
        with redis_errors():
            return [read_log_line(raw) for raw in self._clients.commands.lrange(keys.LOG(job_id), 0, -1)]

    def explain(self, job_id: str) -> Explanation:
        """Why the job is not running (or that it is). Raises JobNotFound."""
        return explain(self._clients.commands, self.job(job_id))

    def batch(self, batch_id: str) -> BatchRecord:
        """The counts of a batch. Raises BatchNotFound."""
        found = read_batch(self._clients.commands, batch_id)
        if found is None:
            raise BatchNotFound(batch_id)
        return found

    def retry(self, job_id: str, reason: str = "") -> None:
        """Let a failed, canceled, delayed, parked or deferred job wait again, with all its attempts; its history stays.

        A deferred one then waits for its parents no more.
        """
        self._manage("retry", job_id, reason, "failed", "canceled", "delayed", "parked", "deferred")

    def remove(self, job_id: str) -> None:
        """Delete a job that is not active, with its history."""
        self._manage(
            "remove", job_id, "", "waiting", "delayed", "failed", "completed", "canceled", "parked", "deferred"
        )

    def cancel(self, job_id: str, reason: str = "") -> None:
        """Cancel a job: at once when it has not started, else as soon as its handler looks."""
        self._manage("cancel", job_id, reason or "canceled", "waiting", "delayed", "parked", "deferred", "active")

    def taken(self, jobs: Sequence[tuple[str, str]]) -> list[str]:
        """Of (id, envelope), the ids under which another job is stored."""
        with redis_errors():
            pipeline = self._clients.commands.pipeline(transaction=False)
            for job_id, _ in jobs:
                pipeline.hget(keys.JOB(job_id), "flowzz")
            found = pipeline.execute(raise_on_error=False)
        return [
            job_id for (job_id, envelope), raw in zip(jobs, found, strict=True) if raw not in (None, envelope.encode())
        ]

    def commands(self, worker: str) -> CommandChannel:
        """What RQ's tools tell that worker; nothing is sent yet."""
        return CommandChannel(self._clients.blocking, worker)

    def wait(self, job_id: str, timeout: timedelta) -> JobRecord:
        """The job once it is final, or as it stands when ``timeout`` is over. Blocks on its result stream."""
        deadline = time.monotonic() + timeout.total_seconds()
        seen = "0-0"
        record = self.job(job_id)
        while not record.state.is_final and (left := deadline - time.monotonic()) > 0:
            with redis_errors():
                block = max(1, int(min(left, 1.0) * 1000))
                news: Any = self._clients.blocking.xread({keys.RESULTS(job_id): seen}, block=block)
            if news:
                seen = news[0][1][-1][0].decode()
            record = self.job(job_id)
        return record

    def stats(self, names: Sequence[str], *, quick: bool = False) -> list[QueueStats]:
        """Counts of the queues, in the order of ``names``; ``quick`` gives up after a second."""
        return census.read_stats(self._clients.quick if quick else self._clients.commands, names)

    def queue_names(self, *, quick: bool = False) -> list[str]:
        """Every queue that ever had a job here."""
        return census.queue_names(self._clients.quick if quick else self._clients.commands)

    def memory_problem(self) -> str | None:
        """Why Redis may lose jobs when its memory is full (its maxmemory-policy), or None."""
        return memory_problem(self._clients.quick)

    def data_loss(self) -> str | None:
        """What Redis lost when it came back empty, or as an older copy, during the last day; None when nothing."""
        return data_loss(self._clients.quick)

    def clock_ahead(self) -> timedelta | None:
        """How far Redis's clock is ahead of this machine's, to half a second; None when its answer took longer than one
        (this process may have been stopped meanwhile). Raises QueueUnavailable."""
        with redis_errors():
            asked = clock.machine_s()
            seconds, micros = self._clients.commands.time()
            answered = clock.machine_s()
        if not 0 <= answered - asked <= 1:
            return None
        return timedelta(seconds=seconds + micros / 1_000_000 - (asked + answered) / 2)

    def own_address(self) -> str:
        """``address:port`` of this process as Redis sees it; 'unknown' of a Redis before 6.2, which cannot say."""
        with redis_errors(), suppress(ResponseError):
            return str(self._clients.commands.client_info()["addr"])
        return "unknown"

    def workers(self) -> list[WorkerInfo]:
        """Live workers, stock RQ ones included."""
        return census.read_workers(self._clients.commands)

    def wait_for_connection(self, connection_id: str, job_id: str) -> None:
        """Remember that the job, about to be postponed, waits for the connection. Raises QueueUnavailable."""
        unconnected.wait_for(self._clients.commands, connection_id, job_id)

    def connections_waited_for(self) -> list[str]:
        """Ids of the connections that delayed jobs wait for."""
        return unconnected.waited_for(self._clients.commands)

    def release_connection(self, connection_id: str) -> int:
        """The jobs that wait for the connection are due now; how many they were."""
        return unconnected.release(self._clients.commands, connection_id)

    def quarantined(self) -> dict[str, str]:
        """Ids that were taken from a queue but are no readable job → JSON of reason, queue and time (ms)."""
        with redis_errors():
            found = self._clients.commands.hgetall(keys.QUARANTINE())
        return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found.items()}

    def pause(self, queue: str, reason: str, *, until: datetime | None = None, by: str = "") -> None:
        """No worker claims from the queue until it is resumed, or ``until`` has passed; what runs, finishes."""
        self.pause_any(PauseKind.QUEUE, queue, reason, until=until, by=by)

    def resume(self, queue: str) -> bool:
        """Claim from the queue again; False when it was not paused."""
        return self.resume_any(PauseKind.QUEUE, queue)

    def pause_any(
        self, kind: PauseKind, name: str, reason: str, *, until: datetime | None = None, by: str = ""
    ) -> None:
        """Pause a queue, a type of job or a company; the latter two in every queue, holding nobody else up."""
        self.transitions.pause(target(kind, name), reason, until, by)

    def resume_any(self, kind: PauseKind, name: str) -> bool:
        """End a pause; False when there was none."""
        return self.transitions.resume(target(kind, name))

    def pauses(self) -> list[Pause]:
        """Everything that is paused now: queues, then types of job, then companies."""
        return read_pauses(self._clients.commands)

    def limits(self, *, offset: int = 0, limit: int = 50) -> LimitPage:
        """The limits and how far they are used: those that stop something first. ``limit`` at most 500."""
        return read_limits(self._clients.commands, max(0, offset), min(max(1, limit), MOST_PER_PAGE))

    def annotate(self, job_id: str, fields: Mapping[str, str | None], log: Sequence[str]) -> None:
        """Add to a job's hash and log, without a lease; for jobs that a stock RQ worker runs."""
        given = {name: value for name, value in fields.items() if value is not None}
        stamp = f"{time.time() * 1000:.0f}|"
        with redis_errors():
            pipeline = self._clients.commands.pipeline()
            if given:
                pipeline.hset(keys.JOB(job_id), mapping=given)
            if log:
                pipeline.rpush(keys.LOG(job_id), *[stamp + line for line in log])
            pipeline.execute()

    def schedule_states(self, names: Sequence[str]) -> dict[str, ScheduleState]:
        """The newest claimed tick and the run-time edit of each schedule."""
        return read_states(self._clients.commands, names)

    def ticks(self, schedule: str, limit: int = 100) -> list[TickRecord]:
        """The schedule's last ticks and runs, newest first; 100 are kept."""
        return read_ticks(self._clients.commands, schedule, limit)

    def events(self, since: str = BEGINNING, block: timedelta = timedelta(0)) -> Iterator[Event]:
        """Every transition after the event ``since`` (default: all that are kept), then those that come.

        Ends when none has come for ``block`` (default: at the end of what is there). Where events that this reader has
        not seen are no longer kept, an Event named ``gap`` stands in their place (``flowzz.queues.events.GAP``). Raises
        InvalidRequest for what is no event's id.
        """
        return follow(self._clients.blocking, since, block)

    def events_page(self, since: str | None, limit: int) -> EventPage:
        """At most ``limit`` (to 1,000) events after ``since``, or the newest; oldest first either way.

        Its ``gap`` says that events after ``since`` are no longer kept.
        """
        limit = min(max(1, limit), MOST)
        if since is None:
            return read_last_events(self._clients.commands, limit)
        return read_events(self._clients.commands, since, limit)

    def begin_schedule(self, schedule: str, tick_ms: int) -> None:
        """Remember ``tick_ms`` as the schedule's beginning, unless it has one."""
        with redis_errors():
            self._clients.commands.hsetnx(keys.SCHEDULE(schedule), "last_tick_ms", str(tick_ms))

    def _manage(self, action: str, job_id: str, reason: str, *allowed: str) -> None:
        answer, status = self.transitions.manage(action, job_id, reason, self._keep_failed)
        if answer == "missing":
            raise JobNotFound(job_id)
        if answer == "refused":
            state = STATE_OF_RQ_STATUS.get(status)
            raise NotAllowedInState(job_id, action, state.value if state else status, allowed)

    def _ids(self, queue: str, state: JobState, offset: int, limit: int) -> tuple[list[str], int]:
        end = offset + limit - 1
        with redis_errors():
            pipeline = self._clients.commands.pipeline(transaction=False)
            if state is JobState.WAITING:
                pipeline.lrange(keys.QUEUE(queue), offset, end).llen(keys.QUEUE(queue))
            elif state in NEWEST_FIRST:
                return self._ended_ids(REGISTRIES[state](queue), offset, limit)
            else:
                key = REGISTRIES[state](queue)
                pipeline.zrange(key, offset, end).zcard(key)
            members, total = pipeline.execute()
        return [member.decode(errors="replace").partition(":")[0] for member in members], int(total)

    def _ended_ids(self, registry: str, offset: int, limit: int) -> tuple[list[str], int]:
        """What ended last first. Jobs with a retention of their own come after the others there: both are merged."""
        pipeline = self._clients.commands.pipeline(transaction=False)
        pipeline.zrange(registry, offset, offset + limit - 1, desc=True).zcard(registry)
        pipeline.zcount(registry, keys.OWN, "+inf")
        ids, total, own = pipeline.execute()
        if own:
            pipeline.zrange(registry, 0, min(own, offset + limit) - 1, desc=True, withscores=True)
            pipeline.zrange(registry, own, own + offset + limit - 1, desc=True, withscores=True)
            kept, others = pipeline.execute()
            ended = [*((score - keys.OWN, job_id) for job_id, score in kept), *((s, job_id) for job_id, s in others)]
            ids = [job_id for _, job_id in sorted(ended, reverse=True)[offset : offset + limit]]
        return [job_id.decode(errors="replace") for job_id in ids], int(total)

    def _read(self, ids: Sequence[str]) -> list[JobRecord]:
        with redis_errors():
            pipeline = self._clients.commands.pipeline(transaction=False)
            for job_id in ids:
                pipeline.hgetall(keys.JOB(job_id)).xrevrange(keys.RESULTS(job_id), count=1)
            answers = pipeline.execute(raise_on_error=False)
            rows = [(job_id, answers[2 * i], answers[2 * i + 1]) for i, job_id in enumerate(ids)]
            rows = [row for row in rows if isinstance(row[1], dict) and row[1]]
            for job_id, fields, _ in rows:
                origin = fields.get(b"origin", b"").decode(errors="replace")
                pipeline.zscore(keys.SCHEDULED(origin), job_id)
            due = pipeline.execute(raise_on_error=False)
        return [
            read_job(job_id, fields, latest[0][1] if isinstance(latest, list) and latest else None, _score(score))
            for (job_id, fields, latest), score in zip(rows, due, strict=True)
        ]


def _score(answer: Any) -> float | None:
    return float(answer) if isinstance(answer, float | int | bytes) else None

"""What each role does with its life. Told by its environment, like the real commands; armed if that names a point.

Each comes to an end by itself, or on SIGTERM; each may be repeated from the start by a process that knows nothing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import redis
import rq

from flowzz import app as flowzz_app
from flowzz import clock
from flowzz.app import Flowzz
from flowzz.jobs.options import EnqueueOptions
from flowzz.plugins.host import PluginHost
from flowzz.queues import dead
from flowzz.scheduling import Scheduler
from flowzz.scheduling import scheduler as scheduler_module
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz.workers import Worker
from flowzz.workers.sweeper import Sweeper
from flowzz_web import create_app
from support.faults import points
from support.faults.jobs import APART, PLUGIN, SINK_VARIABLE
from support.faults.producing import Answer, ProducerLog
from support.faults.roles import HEEDS_VARIABLE

LOG_VARIABLE = "FAULTS_LOG"
STEM_VARIABLE = "FAULTS_STEM"
COUNT_VARIABLE = "FAULTS_COUNT"
CLOCK_VARIABLE = "FAULTS_NOW"
FAST_CLOCK_VARIABLE = "FAULTS_FAST_CLOCK"
"""JSON: when the fast clock began (Unix s), what it showed then (ISO), and how many times faster it runs."""
APART_VARIABLE = "FAULTS_APART"
"""Set: jobs with processes of their own too."""
NONCE = "one"
BURST_VARIABLE = "FAULTS_BURST"
MONITOR_VARIABLE = "FAULTS_MONITOR_S"
"""Seconds between two heartbeats of a busy worker of plain RQ; 30 if not set, as RQ has it."""
PAUSE_VARIABLE = "FAULTS_PAUSE"
GROUP = 10
SMALL_BATCH = 4
"""Bulk calls are split here, instead of at 500 and 100 jobs, so that a few jobs make several calls."""


@contextmanager
def _opened() -> Iterator[Flowzz]:
    plugins = [PLUGIN, APART] if os.environ.get(APART_VARIABLE) else [PLUGIN]
    with Flowzz.open(Settings.load(), plugins=PluginHost.of(plugins)) as app:
        points.arm_from_environment("self")
        yield app


def worker() -> None:
    """All queues, until SIGTERM."""
    with _opened() as app:
        role = Worker(app)
        _heed_sigterm(role.stop)
        role.run()


def scheduler() -> None:
    """One look at a clock that stands still."""
    moment = datetime.fromisoformat(os.environ[CLOCK_VARIABLE])
    clock.now = lambda: moment
    with _opened() as app:
        Scheduler(app).run_due()


def fast_scheduler() -> None:
    """Until SIGTERM, by a clock on which minutes are parts of a second."""
    began, shown, pace = json.loads(os.environ[FAST_CLOCK_VARIABLE])
    first = datetime.fromisoformat(shown)
    clock.now = lambda: first + timedelta(seconds=(time.time() - began) * pace)
    scheduler_module.LONGEST_NAP_S = 0.05
    with _opened() as app:
        role = Scheduler(app)
        _heed_sigterm(role.stop)
        role.run()


def sweeper() -> None:
    """Rescue, prune, mend; three times, since mend looks from the second call on, and puts back at the second sight."""
    with _opened() as app:
        sweeper = Sweeper(app)
        for _ in range(3):
            while sweeper.once():
                pass
            sweeper.prune()
            app.queues.transitions.mend(keep_failed=app.settings.keep_failed, astray_for_ms=0)


def web() -> None:
    """An administrator replays all that is dead, over HTTP."""
    dead.BATCH = SMALL_BATCH
    with _opened() as app:
        site = create_app(app)
        (user,) = [one for one in app.store.users() if one.role is Role.ADMIN]
        token = site.extensions["flowzz"].tokens.issue(user)
        headers = {"Authorization": f"Bearer {token}"}
        answer = site.test_client().post("/api/v1/dead/replay", json={"all": True}, headers=headers)
        assert answer.status_code == 200, answer.text


def _heed_sigterm(stop: Callable[[], None]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: stop())
    Path(os.environ[HEEDS_VARIABLE]).touch()


def _told(number: int) -> tuple[dict[str, Any], EnqueueOptions]:
    payload = {"sink": os.environ[SINK_VARIABLE], "number": number, "empresa_id": f"loja-{number % 3}"}
    return payload, EnqueueOptions(job_id=f"{os.environ[STEM_VARIABLE]}-{number}", nonce=NONCE)


def _count() -> int:
    return int(os.environ[COUNT_VARIABLE])


def producer() -> None:
    """One by one; what is accepted is not tried again."""
    log = ProducerLog(Path(os.environ[LOG_VARIABLE]))
    accepted = {one.job_id for one in log.tries().values() if one.answer is Answer.ACK}
    with _opened() as app:
        for number in range(_count()):
            payload, options = _told(number)
            if options.job_id in accepted:
                continue
            job = ("faults.alpha", "faults.beta", "faults.only")[number % 3]
            with log.trying((str(options.job_id), NONCE)):
                app.enqueue(job, payload, options)


def bulk_producer() -> None:
    """Many in several calls."""
    flowzz_app.BULK = SMALL_BATCH
    log = ProducerLog(Path(os.environ[LOG_VARIABLE]))
    jobs = [("faults.alpha", *_told(number)) for number in range(_count())]
    with _opened() as app, log.trying(*[(str(options.job_id), NONCE) for _, _, options in jobs]):
        app.enqueue_many(jobs)


def flow_producer() -> None:
    """A chain of three, then a batch with a callback."""
    log = ProducerLog(Path(os.environ[LOG_VARIABLE]))
    links = [("faults.alpha", *_told(number)) for number in range(3)]
    members = [("faults.beta", *_told(number)) for number in range(3, _count())]
    batch = f"{os.environ[STEM_VARIABLE]}-batch"
    done = ("faults.alpha", _told(0)[0])
    ids = [str(options.job_id) for _, _, options in members] + [f"{batch}-done"]
    with _opened() as app:
        with log.trying(*[(str(options.job_id), NONCE) for _, _, options in links]):
            app.chain(links)
        with log.trying(*[(job_id, NONCE) for job_id in ids]):
            app.batch(members, callback=done, batch_id=batch, nonce=NONCE)


def crowd() -> None:
    """Jobs of all kinds in groups of ten: one call for ten, a chain, a batch with its callback, or one by one.

    Whoever takes over repeats what was not accepted, with the same ids, payloads and nonce.
    """
    log, stem = ProducerLog(Path(os.environ[LOG_VARIABLE])), os.environ[STEM_VARIABLE]
    accepted = {one.job_id for one in log.tries().values() if one.answer is Answer.ACK}
    pause = float(os.environ[PAUSE_VARIABLE])
    with _opened() as app:
        for first in range(0, _count(), GROUP):
            group = [_any_job(number) for number in range(first, first + GROUP)]
            ids = [str(options.job_id) for _, _, options in group]
            kind = first // GROUP % 5
            if kind == 2:
                ids.append(f"{stem}-{first}b-done")
            calls: list[tuple[list[str], Callable[[], object]]] = {
                0: [(ids, lambda group=group: app.enqueue_many(group))],
                1: [(ids, lambda group=group: app.chain(group))],
                2: [(ids, lambda group=group, first=first: _batch(app, group, f"{stem}-{first}b"))],
            }.get(kind) or [([one], lambda job=job: app.enqueue(*job)) for one, job in zip(ids, group, strict=True)]
            for names, call in calls:
                if accepted.issuperset(names):
                    continue
                with log.trying(*[(name, NONCE) for name in names]):
                    call()
                time.sleep(pause * len(names))


def _batch(app: Flowzz, group: list[Any], batch: str) -> None:
    app.batch(group, callback=("faults.beta", group[0][1]), batch_id=batch, nonce=NONCE)


def _any_job(number: int) -> tuple[str, dict[str, Any], EnqueueOptions]:
    """What a number stands for, in this stem; the same each time."""
    chance = random.Random(f"{os.environ[STEM_VARIABLE]}-{number}")
    payload, options = _told(number)
    payload |= {
        "empresa_id": f"loja-{chance.randrange(7)}",
        "work_ms": chance.choice([0, 0, 5, 30]),
        "fail_until": int(chance.random() < 0.05),
        "reports": chance.random() < 0.1,
    }
    delay = timedelta(milliseconds=chance.randrange(500)) if chance.random() < 0.1 else None
    job = chance.choices(["faults.alpha", "faults.beta", "faults.limited"], [5, 4, 1])[0]
    return job, payload, replace(options, delay=delay, priority=chance.randint(1, 10))


def stock_worker() -> None:
    """A worker of plain RQ, as it comes, until SIGTERM; with BURST set until there is nothing left."""
    queues = os.environ["FLOWZZ_QUEUES"].split(",")
    connection = redis.Redis.from_url(os.environ["REDIS_URL"])
    points.arm_from_environment("self")
    pace = {"job_monitoring_interval": int(os.environ[MONITOR_VARIABLE])} if os.environ.get(MONITOR_VARIABLE) else {}
    rq.Worker(queues, connection=connection, **pace).work(burst=bool(os.environ.get(BURST_VARIABLE)))


def stock_crowd() -> None:
    """Jobs of plain RQ one by one; whoever takes over repeats what was not accepted, and RQ refuses a known id."""
    log = ProducerLog(Path(os.environ[LOG_VARIABLE]))
    accepted = {one.job_id for one in log.tries().values() if one.answer is Answer.ACK}
    pause, stem = float(os.environ[PAUSE_VARIABLE]), os.environ[STEM_VARIABLE]
    connection = redis.Redis.from_url(os.environ["REDIS_URL"])
    queues = [rq.Queue(name, connection=connection) for name in ("alpha", "beta")]
    for number in range(_count()):
        job_id = f"{stem}-{number}"
        if job_id in accepted:
            continue
        with log.trying((job_id, NONCE)), suppress(rq.exceptions.DuplicateJobError):
            queues[number % 2].enqueue(
                "support.faults.stock_jobs.effect",
                os.environ[SINK_VARIABLE],
                job_id=job_id,
                unique=True,
                retry=rq.Retry(max=1000),
            )
        time.sleep(pause)


ROLES: dict[str, Callable[[], None]] = {
    act.__name__: act
    for act in (
        *(worker, scheduler, fast_scheduler, sweeper, web, stock_worker),
        *(producer, bulk_producer, flow_producer, crowd, stock_crowd),
    )
}


def environment_of_producer(log: ProducerLog, sink: Path, stem: str, count: int) -> dict[str, str]:
    return {
        LOG_VARIABLE: str(log.path),
        SINK_VARIABLE: str(sink),
        STEM_VARIABLE: stem,
        COUNT_VARIABLE: str(count),
    }


def point_in_environment(point: points.Point) -> dict[str, str]:
    return {points.VARIABLE: json.dumps(json.loads(point.dump()))}

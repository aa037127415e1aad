"""The harness itself: its invariants hold where nothing is wrong, and each sees the fault it is there for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from flowzz.app import Flowzz
from flowzz.errors import DuplicateJob, QueueUnavailable
from flowzz.jobs.options import EnqueueOptions
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.settings import Settings
from support.faults.invariants import assert_invariants, broken, gather, quiesced
from support.faults.jobs import APART, PLUGIN
from support.faults.producing import Answer, ProducerLog
from support.faults.sink import Sink
from support.working import working

NAMES = ("faults.alpha", "faults.beta", "apart.work", "faults.limited", "faults.only")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([PLUGIN, APART])) as opened:
        opened.store.migrate()
        yield opened


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(tmp_path / "sink.db")


@pytest.fixture
def log(tmp_path: Path) -> ProducerLog:
    return ProducerLog(tmp_path / "producer.log")


@pytest.fixture
def done(app: Flowzz, sink: Sink, log: ProducerLog) -> None:
    """A job of each kind has run, one of them failed twice first."""
    for name in NAMES:
        enqueue(app, sink, log, name)
    enqueue(app, sink, log, "faults.beta", "retried", fail_until=2, reports=True)
    with working(app):
        quiesced(app.queues)


def enqueue(app: Flowzz, sink: Sink, log: ProducerLog, job: str, job_id: str = "", **more: object) -> None:
    job_id = job_id or job.replace(".", "-")
    payload = {"sink": str(sink.path), "empresa_id": "loja-1", **more}
    with log.trying((job_id, "one")):
        app.enqueue(job, payload, EnqueueOptions(job_id=job_id, nonce="one"))


@pytest.mark.usefixtures("done")
def test_they_hold_where_nothing_is_wrong(redis_url: str, sink: Sink, log: ProducerLog) -> None:
    evidence = gather(redis_url, sink, log)
    assert_invariants(evidence)
    assert len(evidence.runs) == len(NAMES) + 3
    assert len(evidence.commits) == len(NAMES) + 1


def lose(raw: redis.Redis, sink: Sink) -> None:
    raw.delete(keys.JOB("faults-alpha"), keys.RESULTS("faults-alpha"))
    raw.zrem(keys.FINISHED("alpha"), "faults-alpha")


def misplace(raw: redis.Redis, sink: Sink) -> None:
    raw.zrem(keys.FINISHED("alpha"), "faults-alpha")
    raw.zadd(keys.FAILED("alpha"), {"faults-alpha": 1})


def double(raw: redis.Redis, sink: Sink) -> None:
    raw.rpush(keys.QUEUE("alpha"), "faults-alpha")


def complete_without_a_run(raw: redis.Redis, sink: Sink) -> None:
    sink.clear()


def run_unrecorded(raw: redis.Redis, sink: Sink) -> None:
    with sink.running("faults-alpha", "nobody-knows-me", 1):
        pass


def run_beside_another(raw: redis.Redis, sink: Sink) -> None:
    (entry,) = raw.xrange(keys.RESULTS("faults-alpha"))
    raw.xadd(keys.RESULTS("faults-alpha"), {**entry[1], b"execution_id": b"other"})
    with sink.running("faults-alpha", "other", 1):
        pass


def store_a_ghost(raw: redis.Redis, sink: Sink) -> None:
    raw.hset(keys.JOB("ghost"), "status", "finished")
    raw.zadd(keys.FINISHED("alpha"), {"ghost": 1})


def miscount(raw: redis.Redis, sink: Sink) -> None:
    raw.hset(keys.LANED(), "alpha", 3)


def leave_a_result(raw: redis.Redis, sink: Sink) -> None:
    raw.xadd(keys.RESULTS("gone"), {"outcome": "completed"})


def leave_a_slot(raw: redis.Redis, sink: Sink) -> None:
    raw.sadd(keys.RUNNING("c:faults.company:loja-1"), "alpha|faults-limited:old")


def leave_a_duplicates_key(raw: redis.Redis, sink: Sink) -> None:
    raw.hset(keys.UNIQUE(), "u:faults.only", "faults-only")


FAULTS = [
    (lose, "i1"),
    (misplace, "i1"),
    (double, "i1"),
    (complete_without_a_run, "i2"),
    (run_unrecorded, "i3"),
    (complete_without_a_run, "i4"),
    (run_beside_another, "i5"),
    (store_a_ghost, "i6"),
    (miscount, "i7"),
    (double, "i7"),
    (leave_a_result, "i8"),
    (leave_a_slot, "i8"),
    (leave_a_duplicates_key, "i8"),
]


@pytest.mark.usefixtures("done")
def test_each_sees_its_fault(redis_url: str, raw: redis.Redis, sink: Sink, log: ProducerLog, tmp_path: Path) -> None:
    """Each fault on a copy of the same finished work."""
    unseen = []
    for number, (fault, seen_by) in enumerate(FAULTS):
        copied = Sink(tmp_path / f"sink-{number}.db")
        with closing(sqlite3.connect(sink.path)) as source, closing(sqlite3.connect(copied.path)) as target:
            source.backup(target)
        with redis.Redis.from_url(url := redis_url.removesuffix("0") + "1") as other:
            other.flushdb()
            for key in raw.scan_iter():
                raw.copy(key, key, destination_db=1)
            fault(other, copied)
        found = broken(gather(url, copied, log))
        if not any(line.startswith(seen_by + "_") for line in found):
            unseen.append((fault.__name__, seen_by, found))
    assert not unseen


def test_a_try_is_what_the_producer_knows_of_it(app: Flowzz, sink: Sink, log: ProducerLog) -> None:
    enqueue(app, sink, log, "faults.alpha", "accepted")
    with pytest.raises(DuplicateJob), log.trying(("refused", "two")):
        app.enqueue("faults.alpha", {"sink": "x"}, EnqueueOptions(job_id="accepted", nonce="two"))
    with pytest.raises(QueueUnavailable), log.trying(("unknown", "one"), ("unknown-2", "one")):
        raise QueueUnavailable("no answer")
    answers = {one.job_id: one.answer for one in log.tries().values()}
    expected = {"accepted": Answer.ACK, "refused": Answer.ERROR}
    assert answers == {**expected, "unknown": Answer.UNKNOWN, "unknown-2": Answer.UNKNOWN}

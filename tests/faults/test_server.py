"""A Redis that dies, freezes, forgets scripts, kills clients, runs full, loses its data or is replaced, under load.

Jobs that were accepted are never lost by what an append-only file survives; what cannot survive is noticed and shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
import redis
from click.testing import CliRunner

from flowzz.app import Flowzz
from flowzz.cli import main
from flowzz.errors import QueueUnavailable
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.settings import Settings
from support.faults.invariants import (
    INVARIANTS,
    assert_invariants,
    gather,
    i3_every_run_is_on_record,
    i5_only_fenced_runs_overlap,
    i7_counts_add_up,
    i8_no_key_is_left_behind,
    quiesced,
)
from support.faults.producing import ProducerLog
from support.faults.server import Producers, Server, producing, server
from support.faults.sink import Sink
from support.proxy import proxy
from support.waiting import eventually
from support.working import working

SOON = timedelta(seconds=90)


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(tmp_path / "sink.db")


@pytest.fixture
def log(tmp_path: Path) -> ProducerLog:
    return ProducerLog(tmp_path / "producer.log")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "valkey") as started:
        yield started


@contextmanager
def opened(home: Path, url: str, **settings: float) -> Iterator[Flowzz]:
    """A tenth of the clock; nothing that ended is let go, or it could not be counted."""
    pace = {"heartbeat": 0.5, "sweep": 0.5, "lease": 3, "shutdown_grace": 10, "keep_completed": 100_000}
    with Flowzz.open(
        Settings.load(home=home, redis_url=url, **{**pace, **settings}),
        plugins=PluginHost.of(["support.faults.jobs:plugin"]),
    ) as app:
        app.store.migrate()
        yield app


@pytest.fixture
def app(home: Path, valkey: Server) -> Iterator[Flowzz]:
    with opened(home, valkey.url) as one:
        yield one


@pytest.fixture
def patient(home: Path, valkey: Server) -> Iterator[Flowzz]:
    """With a lease that outlasts a busy machine, for faults that let no lease end: nothing runs twice."""
    with opened(home, valkey.url, lease=30) as one:
        yield one


@contextmanager
def under_load(app: Flowzz, sink: Sink, log: ProducerLog, workers: int = 2) -> Iterator[Producers]:
    """Producers and workers, warmed up before the block; after it all that was accepted ends, by the same workers."""
    with contextmanager(_workers)(app, workers), producing(app, sink, log) as producers:
        eventually(lambda: producers.accepted > 20)
        eventually(lambda: len(app.queues.workers()) == workers)
        yield producers
        more = producers.accepted + 10
        eventually(lambda: producers.accepted > more, saying="producers get on after the fault")
        producers.stop()
        quiesced(app.queues)


def _workers(app: Flowzz, count: int) -> Iterator[None]:
    if count == 0:
        yield
        return
    with working(app, concurrency=4):
        yield from _workers(app, count - 1)


def for_seconds(seconds: float) -> None:
    """The fault lasts so long; nothing is waited for."""
    Event().wait(seconds)


@contextmanager
def over_and_over(pause_s: float, act: object) -> Iterator[list[int]]:
    """``act()`` every ``pause_s`` seconds in a thread of its own; how often, at index 0."""
    stopped, times = Event(), [0]

    def loop() -> None:
        while not stopped.wait(pause_s):
            act()  # type: ignore[operator]
            times[0] += 1

    thread = Thread(target=loop)
    thread.start()
    try:
        yield times
    finally:
        stopped.set()
        thread.join(10)


def losses(raw: redis.Redis) -> list[bytes]:
    lines = [line for _, entry in raw.xrange(keys.EVENTS()) for line in entry[b"events"].split(b"\n")]
    return [line for line in lines if line.startswith(b"data_lost")]


def test_a_restart_under_load_loses_nothing_and_work_goes_on_at_once(
    app: Flowzz, valkey: Server, sink: Sink, log: ProducerLog
) -> None:
    with under_load(app, sink, log):
        for _ in range(2):
            valkey.stop()
            valkey.start()
            up, ended = time.monotonic(), len(sink.commits())
            eventually(lambda ended=ended: len(sink.commits()) > ended)
            assert time.monotonic() - up < 5
    assert_invariants(gather(valkey.url, sink, log))
    with valkey.client() as raw:
        assert losses(raw) == []


@pytest.mark.parametrize("appendfsync", ["everysec", "always"])
def test_a_kill_loses_nothing_that_was_accepted(
    home: Path, tmp_path: Path, sink: Sink, log: ProducerLog, appendfsync: str
) -> None:
    with server(tmp_path / "valkey", appendfsync=appendfsync) as valkey, opened(home, valkey.url) as app:
        with under_load(app, sink, log):
            valkey.kill()
            valkey.start()
        assert_invariants(gather(valkey.url, sink, log))


@pytest.mark.parametrize(
    "seconds", [1, pytest.param(5, marks=pytest.mark.long), pytest.param(20, marks=pytest.mark.long)]
)
def test_a_frozen_server_ends_no_worker(
    app: Flowzz, valkey: Server, sink: Sink, log: ProducerLog, seconds: int
) -> None:
    """With a lease of 3 s: what outlasts it runs again, and the invariants say what may."""
    with under_load(app, sink, log):
        before = {worker.name for worker in app.queues.workers()}
        valkey.freeze()
        for_seconds(seconds)
        valkey.thaw()
        eventually(lambda: {worker.name for worker in app.queues.workers()} == before)
    evidence = gather(valkey.url, sink, log)
    assert_invariants(evidence)
    if seconds == 1:
        assert {len(endings) for endings in evidence.census.history.values()} == {1}


def test_nobody_notices_that_scripts_are_flushed(patient: Flowzz, valkey: Server, sink: Sink, log: ProducerLog) -> None:
    with valkey.client() as raw, under_load(patient, sink, log) as producers:
        with over_and_over(0.001, raw.script_flush) as times:
            eventually(lambda: times[0] > 1_000, 180)
        assert producers.refusals == []
    evidence = gather(valkey.url, sink, log)
    assert_invariants(evidence)
    assert {len(endings) for endings in evidence.census.history.values()} == {1}


def test_killed_connections_cost_nothing_but_time(
    patient: Flowzz, valkey: Server, sink: Sink, log: ProducerLog
) -> None:
    def kill_all() -> None:
        for kind in ("normal", "pubsub"):
            raw.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    with valkey.client() as raw, under_load(patient, sink, log, workers=1):
        with over_and_over(0.3, kill_all) as times:
            eventually(lambda: times[0] > 8)
        (worker,) = patient.queues.workers()
        eventually(lambda: raw.pubsub_numsub(keys.PUBSUB(worker.name))[0][1] == 1, 60, saying="it listens to commands")
    evidence = gather(valkey.url, sink, log)
    assert_invariants(evidence)
    assert {len(endings) for endings in evidence.census.history.values()} == {1}


def test_while_somebodys_script_does_not_end_it_is_named_and_work_goes_on_after_script_kill(
    app: Flowzz, valkey: Server, sink: Sink, log: ProducerLog
) -> None:
    with valkey.client() as raw, valkey.client() as stranger, under_load(app, sink, log) as producers:
        raw.config_set("busy-reply-threshold", 50)

        def hog() -> None:
            with suppress(redis.RedisError):
                stranger.eval("while true do end", 0)

        hogging = Thread(target=hog)
        hogging.start()
        eventually(lambda: any("SCRIPT KILL" in refusal for refusal in producers.refusals))
        raw.script_kill()
        hogging.join(10)
    assert_invariants(gather(valkey.url, sink, log))


def test_a_full_server_refuses_new_jobs_and_lets_running_ones_end(
    app: Flowzz, valkey: Server, sink: Sink, log: ProducerLog
) -> None:
    with valkey.client() as raw, working(app, concurrency=4):
        payload = {"sink": str(sink.path), "workMs": 2500, "reports": True}
        running = [app.enqueue("faults.alpha", payload) for _ in range(6)]
        eventually(lambda: len(sink.runs()) == 4)
        raw.config_set("maxmemory", 1)
        with pytest.raises(QueueUnavailable, match="out of memory"):
            app.enqueue("faults.alpha", payload)
        seen = app.queues.workers()[0].last_heartbeat
        assert seen is not None
        for job_id in running:
            assert app.queues.wait(job_id, SOON).state is JobState.COMPLETED
        (worker,) = app.queues.workers()
        assert worker.last_heartbeat is not None
        assert worker.last_heartbeat > seen
        raw.config_set("maxmemory", 0)
        assert app.queues.wait(app.enqueue("faults.alpha", {"sink": str(sink.path)}), SOON).state is JobState.COMPLETED
    assert {len(app.queues.attempts(job_id)) for job_id in running} == {1}
    assert_invariants(gather(valkey.url, sink))


@pytest.mark.parametrize("how", ["flushed", "disk lost"])
def test_a_server_that_comes_back_empty_is_noticed_and_work_goes_on(
    app: Flowzz, valkey: Server, home: Path, sink: Sink, how: str
) -> None:
    with working(app) as worker:
        busy = app.enqueue("faults.watchful", {"sink": str(sink.path), "workMs": 60_000})
        eventually(sink.runs)
        if how == "flushed":
            with valkey.client() as raw:
                raw.flushall()
        else:
            valkey.kill()
            valkey.lose_disk()
            valkey.start()
        with valkey.client() as raw:
            eventually(lambda: losses(raw) == [b"data_lost||empty|"])
            eventually(lambda: [one.name for one in app.queues.workers()] == [worker.name])
            eventually(lambda: sink.runs()[0].ended, saying="what ran is told that it lost its lease")
            job_id = app.enqueue("faults.alpha", {"sink": str(sink.path)})
            assert app.queues.wait(job_id, SOON).state is JobState.COMPLETED
            assert not raw.exists(keys.JOB(busy))
        environment = {"FLOWZZ_HOME": str(home), "REDIS_URL": valkey.url}
        assert "Redis came back empty at" in CliRunner().invoke(main, ["health"], env=environment).stderr
    # Of the run that was cut off nothing is on record any more.
    rest = [invariant for invariant in INVARIANTS if invariant is not i3_every_run_is_on_record]
    assert_invariants(gather(valkey.url, sink), rest)


def test_a_power_cut_costs_what_was_not_on_the_disk_and_is_noticed(
    app: Flowzz, valkey: Server, sink: Sink, log: ProducerLog
) -> None:
    """The end of the append-only file is missing, from the middle of a command on."""
    with working(app):
        with producing(app, sink, log) as producers:
            eventually(lambda: producers.accepted > 50)
            safe = set(gather(valkey.url, sink, log).accepted)
            on_disk = valkey.newest_append_only_file.stat().st_size
            with valkey.client() as raw:
                looked = raw.hget(keys.EPOCH(), "seen_ms")
                eventually(lambda: raw.hget(keys.EPOCH(), "seen_ms") != looked)
        valkey.kill()
        os.truncate(valkey.newest_append_only_file, on_disk + 10)
        valkey.start()
        with valkey.client() as raw:
            eventually(lambda: losses(raw))
            assert losses(raw)[0].startswith(b"data_lost||older|")
        quiesced(app.queues)
    evidence = gather(valkey.url, sink, log)
    assert safe <= set(evidence.census.hashes)
    assert_invariants(evidence, [i5_only_fenced_runs_overlap, i7_counts_add_up, i8_no_key_is_left_behind])


def follow(replica: Server, primary: Server) -> None:
    with replica.client() as raw:
        raw.replicaof("127.0.0.1", primary.port)
        eventually(lambda: raw.info("replication").get("master_link_status") == "up")


def test_a_planned_failover_under_load_loses_nothing(
    home: Path, tmp_path: Path, valkey: Server, sink: Sink, log: ProducerLog
) -> None:
    """The old primary turns into a replica while clients are connected to it, and the address moves."""
    with (
        server(tmp_path / "other", **{"repl-diskless-sync-delay": "0"}) as other,
        proxy(valkey.url) as link,
        opened(home, link.url) as app,
        valkey.client() as old,
        other.client() as new,
    ):
        follow(other, valkey)
        with under_load(app, sink, log) as producers:
            old.execute_command("CLIENT", "PAUSE", 20_000, "WRITE")
            eventually(lambda: offset(old, "master_repl_offset") == offset(new, "slave_repl_offset"))
            new.execute_command("REPLICAOF", "NO", "ONE")
            old.replicaof("127.0.0.1", other.port)
            old.execute_command("CLIENT", "UNPAUSE")
            link.retarget(other.url)
        assert_invariants(gather(other.url, sink, log))
        assert losses(new) == []
        assert not [refusal for refusal in producers.refusals if "read-only" not in refusal]


def offset(raw: redis.Redis, name: str) -> int:
    return int(raw.info("replication")[name])


def test_a_failover_to_a_replica_that_lagged_behind_is_noticed(
    home: Path, tmp_path: Path, valkey: Server, sink: Sink
) -> None:
    with (
        server(tmp_path / "other", **{"repl-diskless-sync-delay": "0"}) as other,
        proxy(valkey.url) as link,
        opened(home, link.url) as app,
        other.client() as new,
    ):
        with working(app):
            done = app.enqueue("faults.alpha", {"sink": str(sink.path)})
            assert app.queues.wait(done, SOON).state is JobState.COMPLETED
            follow(other, valkey)
            new.execute_command("REPLICAOF", "NO", "ONE")
            lost = app.enqueue("faults.alpha", {"sink": str(sink.path)})
            assert app.queues.wait(lost, SOON).state is JobState.COMPLETED
            with valkey.client() as old:
                looked = old.hget(keys.EPOCH(), "seen_ms")
                eventually(lambda: old.hget(keys.EPOCH(), "seen_ms") != looked)
            link.retarget(other.url)
            valkey.kill()
            eventually(lambda: losses(new))
        assert losses(new)[0].startswith(b"data_lost||older|")
        assert "older copy from" in str(app.queues.data_loss())
        assert app.queues.job(done).state is JobState.COMPLETED

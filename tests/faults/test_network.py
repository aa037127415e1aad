"""A network that is silent, slow, broken or points elsewhere: workers notice, stay, and nothing runs twice needlessly.

What becomes of a single request or answer that gets lost is in test_lost_calls.py.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from flowzz.app import Flowzz
from flowzz.errors import QueueUnavailable
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues.engine import Queues
from flowzz.settings import Settings
from support.faults.invariants import assert_invariants, gather, quiesced
from support.faults.producing import ProducerLog
from support.faults.sink import Sink
from support.processes import role
from support.proxy import Proxy, proxy, script
from support.waiting import eventually
from support.working import working

FAULTS = "support.faults.jobs:plugin"
PACE = {"heartbeat": 0.5, "sweep": 0.5, "lease": 3, "shutdown_grace": 10}
AS_ENVIRONMENT = {f"FLOWZZ_{name.upper()}": str(value) for name, value in PACE.items()}


@pytest.fixture
def link(redis_url: str) -> Iterator[Proxy]:
    with proxy(redis_url) as opened:
        yield opened


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(tmp_path / "sink.db")


@contextmanager
def opened(home: Path, url: str, **settings: float) -> Iterator[Flowzz]:
    with Flowzz.open(
        Settings.load(home=home, redis_url=url, **{**PACE, **settings}), plugins=PluginHost.of([FAULTS])
    ) as app:
        app.store.migrate()
        yield app


@pytest.fixture
def app(home: Path, redis_url: str) -> Iterator[Flowzz]:
    """On the near side of the network: always connected."""
    with opened(home, redis_url) as near:
        yield near


@pytest.fixture
def far(home: Path, link: Proxy) -> Iterator[Flowzz]:
    """Behind the proxy."""
    with opened(home, link.url) as behind:
        yield behind


@contextmanager
def far_worker(home: Path, link: Proxy, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process behind the proxy."""
    with role("worker", home, link.url, PROBE_PLUGIN="faults.jobs", **{**AS_ENVIRONMENT, **more}) as process:
        yield process


def cpu_s(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_sockets(pid: int | str = "self") -> int:
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # another thread closed it meanwhile
            found += "socket:" in str(link.readlink())
    return found


def test_an_idle_worker_notices_a_black_hole_and_is_back_when_it_ends(
    app: Flowzz, home: Path, link: Proxy, sink: Sink
) -> None:
    payload = {"sink": str(sink.path)}
    with far_worker(home, link) as process:
        app.queues.wait(app.enqueue("faults.alpha", payload), timedelta(seconds=90))
        link.freeze()
        before = link.accepted
        eventually(lambda: link.accepted >= before + 2, 60, saying="it tries new connections")
        job_id = app.enqueue("faults.alpha", payload)
        link.thaw()
        assert app.queues.wait(job_id, timedelta(seconds=90)).state is JobState.COMPLETED
        assert process.poll() is None


@pytest.mark.long
def test_an_idle_worker_in_a_black_hole_still_stops(app: Flowzz, home: Path, link: Proxy, sink: Sink) -> None:
    with far_worker(home, link, FLOWZZ_SHUTDOWN_GRACE="1") as process:
        app.queues.wait(app.enqueue("faults.alpha", {"sink": str(sink.path)}), timedelta(seconds=90))
        link.freeze()
        process.send_signal(signal.SIGTERM)
        assert process.wait(45) == 0


def test_a_busy_worker_in_a_black_hole_stops_its_job_before_another_one_may_have_it(
    app: Flowzz, far: Flowzz, link: Proxy, sink: Sink, redis_url: str
) -> None:
    job_id = app.enqueue("faults.watchful", {"sink": str(sink.path), "workMs": 4000})
    with working(far, name="far"):
        eventually(sink.runs)
        link.freeze()
        with working(app, name="near"):
            assert app.queues.wait(job_id, timedelta(seconds=90)).state is JobState.COMPLETED
        link.thaw()
    first, second = sink.runs()
    assert first.ended is not None
    assert first.ended < second.started
    assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["stalled", "completed"]
    assert_invariants(gather(redis_url, sink))


def test_a_worker_that_hears_no_answer_claims_and_settles_each_job_once(
    app: Flowzz, far: Flowzz, link: Proxy, sink: Sink, redis_url: str
) -> None:
    """Six answers in a row are lost: more than the client repeats by itself, so the worker repeats with its token."""
    with working(far):
        for number in (1, 2):
            claims = link.reply_lost(script("step"), nth=number, times=6)
            job_id = app.enqueue("faults.alpha", {"sink": str(sink.path), "workMs": 200})
            assert app.queues.wait(job_id, timedelta(seconds=90)).state is JobState.COMPLETED
            eventually(lambda claims=claims: claims.hits == 6)
            assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["completed"]
            assert len(sink.runs()) == number
            link.heal()
    assert_invariants(gather(redis_url, sink))


def test_jobs_outlast_an_outage_that_is_shorter_than_their_lease(
    home: Path, redis_url: str, link: Proxy, sink: Sink
) -> None:
    """Scaled: 3 s of a lease of 8 s. Handlers end in the middle of it; their outcomes wait in the worker."""
    with opened(home, redis_url) as app, opened(home, link.url, lease=8) as far, working(far), working(app):
        eventually(lambda: len(app.queues.workers()) == 2)
        jobs = [app.enqueue("faults.alpha", {"sink": str(sink.path), "workMs": 1500}) for _ in range(12)]
        eventually(lambda: len(sink.runs()) == 12)
        link.down()
        eventually(lambda: sum(run.ended is not None for run in sink.runs()) == 12)
        assert not far.queues.ping()
        began = time.monotonic()
        eventually(lambda: time.monotonic() > began + 1.5)
        link.heal()
        quiesced(app.queues)
        assert {len(app.queues.attempts(job_id)) for job_id in jobs} == {1}
        assert len(sink.runs()) == 12
    assert_invariants(gather(redis_url, sink))


@pytest.mark.parametrize(
    ("delay_ms", "jobs", "resets"),
    [
        (25, 40, 0.01),
        pytest.param(250, 8, 0.01, marks=pytest.mark.long),
        pytest.param(1500, 4, 0.01, marks=pytest.mark.long),
    ],
)
def test_on_a_slow_and_shaky_network_throughput_falls_and_nothing_else(
    home: Path, redis_url: str, link: Proxy, sink: Sink, tmp_path: Path, delay_ms: int, jobs: int, resets: float
) -> None:
    """A round trip takes twice the delay, give or take half; one piece of data in a hundred breaks its connection."""
    log = ProducerLog(tmp_path / "log")
    with opened(home, redis_url) as app, opened(home, link.url, lease=30, heartbeat=2) as far, working(far):
        eventually(lambda: app.queues.workers())
        link.weather(delay_ms / 1000, resets=resets)
        payload = {"sink": str(sink.path)}
        for number in range(jobs):
            options = EnqueueOptions(job_id=f"job-{number}", nonce="once")
            with log.trying((f"job-{number}", "once")):
                eventually(lambda options=options: enqueued(far, payload, options), 60)
        quiesced(app.queues, 120)
        link.heal()
    evidence = gather(redis_url, sink, log)
    assert_invariants(evidence)
    assert len(evidence.census.hashes) == jobs
    assert {len(endings) for endings in evidence.census.history.values()} == {1}


def enqueued(app: Flowzz, payload: dict[str, str], options: EnqueueOptions) -> str | None:
    try:
        return app.enqueue("faults.alpha", payload, options)
    except QueueUnavailable:
        return None


REFUSALS = {
    "READONLY You can't write against a read only replica.": "read-only",
    "LOADING Redis is loading the dataset in memory": "loading",
    "NOAUTH Authentication required.": "password",
    "NOPERM User web has no permissions to run the 'evalsha' command": "ACL",
    "CLUSTERDOWN The cluster is down": "cluster",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": "primary",
    "OOM command not allowed when used memory > 'maxmemory'.": "out of memory",
    "MISCONF Errors writing to the AOF file: No space left on device": "disk",
    "NOREPLICAS Not enough good replicas to write.": "replicas",
    "BUSY Valkey is busy running a script.": "script",
    "ERR something nobody has seen before": "something nobody has seen before",
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_a_server_refuses_everything_for_is_said_in_our_words(far: Flowzz, link: Proxy, refusal: str) -> None:
    link.answer(refusal)
    with pytest.raises(QueueUnavailable, match=REFUSALS[refusal]):
        far.enqueue("faults.alpha", {"sink": "nobody"})


@pytest.mark.parametrize(
    "refusals", [["READONLY It is a replica"], pytest.param([*REFUSALS], marks=pytest.mark.long)], ids=["one", "all"]
)
def test_a_server_that_refuses_everything_is_asked_again_without_haste(
    app: Flowzz, home: Path, link: Proxy, sink: Sink, refusals: list[str]
) -> None:
    payload = {"sink": str(sink.path)}
    with far_worker(home, link) as process:
        app.queues.wait(app.enqueue("faults.alpha", payload), timedelta(seconds=90))
        for refusal in refusals:
            strike = link.answer(refusal)
            eventually(lambda strike=strike: strike.hits > 5)
            busy, began = cpu_s(process.pid), time.monotonic()
            eventually(lambda began=began: time.monotonic() > began + 1)
            assert cpu_s(process.pid) - busy < 0.1 * (time.monotonic() - began), refusal
            link.heal()
            job_id = app.enqueue("faults.alpha", payload)
            assert app.queues.wait(job_id, timedelta(seconds=90)).state is JobState.COMPLETED, refusal
        assert process.poll() is None


def test_an_answer_that_trickles_in_is_given_up(far: Flowzz, link: Proxy) -> None:
    assert far.queues.ping()
    link.drip(0.3)
    far.queues.reconnect()
    began, sockets = time.monotonic(), open_sockets()
    assert not far.queues.ping()
    assert time.monotonic() - began < 8
    # The proxy's ends are sockets of this process too, and close after ours.
    eventually(lambda: open_sockets() <= sockets + 3)
    link.heal()
    assert far.queues.ping()


@pytest.mark.long
def test_an_enqueue_whose_answer_trickles_in_ends_and_its_repeat_is_one_job(
    app: Flowzz, far: Flowzz, link: Proxy, sink: Sink
) -> None:
    """One byte a second: whole after ten seconds or given up, never hung; who repeats it gets one job."""
    payload = {"sink": str(sink.path)}
    far.enqueue("faults.alpha", payload, EnqueueOptions(job_id="warm"))
    link.drip(1)
    far.queues.reconnect()
    sockets = open_sockets()
    with pytest.raises(QueueUnavailable):
        far.enqueue("faults.alpha", payload, EnqueueOptions(job_id="one", nonce="once"))
    # The proxy's ends are sockets of this process too, and close after ours.
    eventually(lambda: open_sockets() <= sockets + 3)
    link.heal()
    assert far.enqueue("faults.alpha", payload, EnqueueOptions(job_id="one", nonce="once")) == "one"
    with working(app):
        quiesced(app.queues)
    assert sorted(run.job_id for run in sink.runs()) == ["one", "warm"]


def test_connections_that_break_leave_no_sockets_behind(far: Flowzz, link: Proxy, sink: Sink) -> None:
    payload = {"sink": str(sink.path)}
    breaks = [link.half_close, link.reset, link.hang_up, far.queues.reconnect]
    far.enqueue("faults.alpha", payload)
    before = eventually(lambda: open_sockets())
    for _ in range(5):
        for break_them in breaks:
            break_them()
            far.enqueue("faults.alpha", payload)
            assert far.queues.ping()
    # Each end of the proxy's connections is a socket of this process too.
    eventually(lambda: open_sockets() <= before + 4)


def test_a_name_that_moves_is_resolved_anew(
    home: Path, redis_url: str, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two addresses, as before and after a failover: the first one turns into a replica, then goes away."""
    real, address = socket.getaddrinfo, ["127.0.0.1"]

    def resolve(host: str, *arguments: object, **options: object) -> object:
        return real(address[0] if host == "redis.flowzz.test" else host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with (
        proxy(redis_url) as old,
        proxy(redis_url, ("127.0.0.2", old.port)) as new,
        opened(home, f"redis://redis.flowzz.test:{old.port}/0") as app,
        working(app),
    ):
        eventually(lambda: app.queues.workers())
        old.answer("READONLY You can't write against a read only replica.", script("enqueue"))
        with pytest.raises(QueueUnavailable, match="read-only"):
            app.enqueue("faults.alpha", {"sink": str(sink.path)})
        assert new.accepted == 0
        address[0] = "127.0.0.2"
        job_id = app.enqueue("faults.alpha", {"sink": str(sink.path)})
        assert new.accepted == 1
        old.down()
        assert app.queues.wait(job_id, timedelta(seconds=90)).state is JobState.COMPLETED


def test_an_enqueue_over_a_broken_network_says_so_in_bounded_time(link: Proxy) -> None:
    queues = Queues.open(link.url)
    link.down()
    began = time.monotonic()
    with pytest.raises(QueueUnavailable, match="cannot be reached"):
        queues.queue_names()
    assert time.monotonic() - began < 10
    queues.close()

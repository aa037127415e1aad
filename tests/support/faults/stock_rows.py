"""Faults that plain RQ is put through, one function each; what came of it is measured and said in a few words.

The sink counts runs and effects, the proxy and the signals are those of our own tests. A worker of plain RQ sends a
heartbeat each second here (30 s by default), a *lapse* is ``let_time_pass`` and a fresh worker: its maintenance.
"""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import redis
import rq
import time_machine
from rq.cron import CronScheduler

from support.faults.acts import BURST_VARIABLE, MONITOR_VARIABLE
from support.faults.crashes import Lane
from support.faults.roles import Member, parent_of
from support.faults.server import server
from support.faults.stock_jobs import effect, let_time_pass
from support.proxy import proxy
from support.waiting import eventually

PATIENCE_S = 15
ONE, TWO = ("alpha",), ("alpha", "beta")


def within(seconds: float, happened: Callable[[], object]) -> bool:
    """Whether it happened in that time."""
    try:
        eventually(lambda: bool(happened()), seconds)
    except AssertionError:
        return False
    return True


class Plain:
    """Plain RQ in a lane: workers, jobs, and what became of them."""

    def __init__(self, lane: Lane) -> None:
        lane.clear()
        self.lane, self.raw, self.sink = lane, lane.raw, lane.sink
        self._members: list[Member] = []

    def worker(self, *queues: str, url: str = "", burst: bool = False) -> Member:
        told = {"FLOWZZ_QUEUES": ",".join(queues), MONITOR_VARIABLE: "1", **({BURST_VARIABLE: "1"} if burst else {})}
        folder = self.lane.folder / f"stock-{len(self._members)}"
        folder.mkdir(exist_ok=True)
        member = self.lane.start("stock_worker", folder, url or self.lane.url, **told)
        self._members.append(member)
        return member

    def idle(self, member: Member) -> Member:
        """Once it waits for jobs."""
        eventually(lambda: any(self.raw.hget(key, "state") == b"idle" for key in self.raw.scan_iter("rq:worker:*")))
        return member

    def enqueue(self, *, work_s: float = 0, how: str = "", retries: int = 3, client: redis.Redis | None = None) -> str:
        queue = rq.Queue("alpha", connection=client or self.raw)
        retry = rq.Retry(max=retries) if retries else None
        timeout = 1 if how == "swallow" else 180
        job = queue.enqueue(effect, str(self.sink.path), work_s, how, job_id="job", retry=retry, job_timeout=timeout)
        return str(job.id)

    def started(self) -> None:
        eventually(self.sink.runs)

    def ended(self) -> None:
        """Its handler has ended, and whatever it tries next has failed."""
        eventually(lambda: all(run.ended is not None for run in self.sink.runs()))
        time.sleep(3)

    def lapse(self) -> None:
        """Leases end, and a fresh worker looks after things until nothing is left."""
        let_time_pass(self.raw, TWO)
        assert self.worker(*TWO, burst=True).wait(60)

    def status(self) -> str:
        return (self.raw.hget("rq:job:job", "status") or b"gone").decode()

    def effects(self) -> int:
        return sum(1 + commit.refused for commit in self.sink.commits())

    def overlapped(self) -> bool:
        runs = self.sink.runs()
        return any(a.ended is None or a.ended > b.started for a, b in pairwise(runs))

    def ran(self) -> str:
        together = " at the same time" if self.overlapped() else ""
        return f"{len(self.sink.runs())} runs{together}, {self.effects()} effects"

    def close(self) -> None:
        for member in self._members:
            for pid in _horses(member.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            member.signal(signal.SIGCONT)
            member.kill()


def _horses(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


# Network


def enqueue_reply_lost(plain: Plain) -> str:
    with proxy(plain.lane.url) as link, redis.Redis(port=link.port) as client:
        client.ping()
        strike = link.reply_lost(b"EXEC", nth=2)  # the first one adds the queue to the list of queues
        plain.enqueue(client=client)
        assert strike.hits == 1
    waiting = plain.raw.llen("rq:queue:alpha")
    assert plain.worker(*ONE, burst=True).wait(60)
    return f"{waiting} times in its queue, ran {len(plain.sink.runs())} times"


def pop_reply_lost(queues: tuple[str, ...], needles: tuple[bytes, ...]) -> Callable[[Plain], str]:
    def row(plain: Plain) -> str:
        with proxy(plain.lane.url) as link:
            plain.idle(plain.worker(*queues, url=link.url))
            strike = link.reply_lost(needles)
            time.sleep(1)
            link.hang_up()  # the blocking call that is under way is made anew, and struck
            eventually(lambda: strike.hits, 30)
            plain.enqueue()
            if within(PATIENCE_S, plain.effects):
                return "ran"
            plain.lapse()
            plain.lapse()
        return f"not run within {PATIENCE_S} s; " + ("run by its maintenance" if plain.effects() else "lost")

    return row


def settle_reply_lost(plain: Plain) -> str:
    with proxy(plain.lane.url) as link:
        plain.worker(*ONE, url=link.url)
        plain.enqueue(work_s=0.5)
        plain.started()
        strike = link.reply_lost(b"EXEC")
        eventually(lambda: strike.hits)
        within(5, lambda: plain.status() == "failed")
        plain.lapse()
    return f"{plain.status()}, ran {len(plain.sink.runs())} times"


def black_hole_idle(plain: Plain) -> str:
    with proxy(plain.lane.url) as link:
        plain.idle(plain.worker(*ONE, url=link.url))
        link.freeze()
        before = link.accepted
        noticed = within(60, lambda: link.accepted > before)
    return "noticed within 60 s" if noticed else "not noticed within 60 s"


def black_hole_busy(plain: Plain) -> str:
    with proxy(plain.lane.url) as link:
        plain.worker(*ONE, url=link.url)
        plain.enqueue(work_s=6)
        plain.started()
        link.freeze()
        plain.lapse()
        eventually(lambda: plain.effects() == len(plain.sink.runs()), 20)
    return (
        f"{len(plain.sink.runs())} runs{' at the same time' if plain.overlapped() else ''}, {plain.effects()} effects"
    )


def outage(plain: Plain) -> str:
    with proxy(plain.lane.url) as link:
        worker = plain.worker(*ONE, url=link.url)
        plain.enqueue(work_s=3)
        plain.started()
        link.down()
        exits = within(PATIENCE_S, lambda: not worker.alive)
        plain.ended()
        link.heal()
        within(5, lambda: plain.status() == "finished")
        before = plain.status()
        plain.lapse()
    return f"{_fate(exits)}; a job that succeeded is {before!r}, and ran {len(plain.sink.runs())} times"


def refused(answer: str) -> Callable[[Plain], str]:
    def row(plain: Plain) -> str:
        with proxy(plain.lane.url) as link:
            worker = plain.idle(plain.worker(*ONE, url=link.url))
            link.answer(answer)
            link.hang_up()
            return _fate(within(PATIENCE_S, lambda: not worker.alive))

    return row


def _fate(exits: bool) -> str:
    return "worker exits" if exits else "worker stays"


# Server


def server_killed(plain: Plain) -> str:
    with server(plain.lane.folder / f"own-{time.monotonic_ns()}") as valkey, valkey.client() as raw:
        plain.raw = raw
        worker = plain.worker(*ONE, url=valkey.url)
        plain.enqueue(work_s=3)
        plain.started()
        valkey.kill()
        exits = within(PATIENCE_S, lambda: not worker.alive)
        plain.ended()
        valkey.start()
        within(5, lambda: plain.status() == "finished")
        before = plain.status()
        worker.kill()
        let_time_pass(raw, TWO)
        assert plain.worker(*TWO, url=valkey.url, burst=True).wait(60)
    return f"{_fate(exits)} when busy; a job that succeeded is {before!r}, and ran {len(plain.sink.runs())} times"


def server_frozen(plain: Plain) -> str:
    with server(plain.lane.folder / f"own-{time.monotonic_ns()}") as valkey, valkey.client() as raw:
        plain.raw = raw
        worker = plain.worker(*ONE, url=valkey.url)
        plain.enqueue(work_s=3)
        plain.started()
        valkey.freeze()
        exits = within(20, lambda: not worker.alive)
        valkey.thaw()
        worker.kill()
    return f"{_fate(exits)} when busy, in 20 s"


# Processes


def parent_killed(plain: Plain) -> str:
    worker = plain.worker(*ONE)
    plain.enqueue(work_s=5)
    plain.started()
    worker.kill()
    plain.lapse()
    eventually(lambda: plain.effects() == len(plain.sink.runs()), 20)
    return (
        f"{len(plain.sink.runs())} runs{' at the same time' if plain.overlapped() else ''}, {plain.effects()} effects"
    )


def stopped_past_lease(plain: Plain) -> str:
    worker = plain.worker(*ONE)
    plain.enqueue(work_s=2)
    plain.started()
    (horse,) = _horses(worker.pid)
    for pid in (worker.pid, horse):
        os.kill(pid, signal.SIGSTOP)
    plain.lapse()
    for pid in (worker.pid, horse):
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: plain.effects() == len(plain.sink.runs()), 20)
    eventually(lambda: parent_of(horse) is None)
    late = plain.raw.xlen("rq:results:job")
    return f"{plain.effects()} effects, {late} results kept, no error"


def ends_as(how: str) -> Callable[[Plain], str]:
    def row(plain: Plain) -> str:
        plain.worker(*ONE)
        plain.enqueue(how=how, retries=0)
        if within(8, lambda: plain.status() in ("finished", "failed", "gone")):
            return plain.status()
        return f"{plain.status()!r} until the lease ends"

    return row


def swallowed(plain: Plain) -> str:
    plain.worker(*ONE)
    plain.enqueue(how="swallow", work_s=4, retries=0)
    within(20, lambda: plain.status() in ("finished", "failed"))
    (run,) = plain.sink.runs()
    assert run.ended is not None
    return f"limit 1 s: {plain.status()} after {run.ended - run.started:.0f} s"


def grandchild(plain: Plain) -> str:
    plain.worker(*ONE)
    plain.enqueue(how="grandchild", retries=0)
    eventually(lambda: plain.status() == "finished")
    pid = int((plain.sink.path.parent / "grandchild").read_text())
    left = not within(3, lambda: parent_of(pid) is None)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return "lives on" if left else "gone"


def poison(plain: Plain) -> str:
    plain.enqueue(how="poison")
    killed = 0
    for _ in range(8):
        before = len(plain.sink.runs())
        let_time_pass(plain.raw, TWO)
        assert plain.worker(*ONE, burst=True).wait(60)
        killed += len(plain.sink.runs()) > before
    return f"kills {killed} workers with 3 retries, then {plain.status()}"


# Schedulers


def _cron(plain: Plain) -> CronScheduler:
    scheduler = CronScheduler(connection=plain.raw)
    scheduler.register(effect, "alpha", args=(str(plain.sink.path),), cron="0 * * * *")
    return scheduler


@contextmanager
def _at(moment: datetime) -> Iterator[None]:
    with time_machine.travel(moment, tick=False):
        yield


def two_schedulers(plain: Plain) -> str:
    noon = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
    with _at(noon):
        both = [_cron(plain), _cron(plain)]
    with _at(noon + timedelta(minutes=30)):
        for scheduler in both:
            scheduler.enqueue_jobs()
    return f"{plain.raw.llen('rq:queue:alpha')} jobs a tick"


def missed_ticks(plain: Plain) -> str:
    noon = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
    with _at(noon):
        _cron(plain).enqueue_jobs()
    with _at(noon + timedelta(hours=3)):
        _cron(plain).enqueue_jobs()
    return f"down over 3 ticks: {plain.raw.llen('rq:queue:alpha')} run, no trace"


# Data


def broken_field(queues: tuple[str, ...]) -> Callable[[Plain], str]:
    def row(plain: Plain) -> str:
        worker = plain.idle(plain.worker(*queues))
        plain.raw.hset("rq:job:bad", mapping={"status": "nonsense", "created_at": "yesterday", "data": "x"})
        plain.raw.rpush("rq:queue:alpha", "bad")
        exits = within(PATIENCE_S, lambda: not worker.alive)
        how = "with exit code 0" if worker.finished else "with an error"
        return f"worker exits {how}" if exits else "worker stays"

    return row


def missing_hash(plain: Plain) -> str:
    worker = plain.idle(plain.worker(*ONE))
    plain.raw.rpush("rq:queue:alpha", "nobody")
    eventually(lambda: not plain.raw.llen("rq:queue:alpha"))
    plain.enqueue()
    ran = within(PATIENCE_S, plain.effects)
    return f"{'skipped without a trace' if ran else 'work stops'}, {_fate(not worker.alive)}"


def wrong_type(plain: Plain) -> str:
    worker = plain.idle(plain.worker(*TWO))
    plain.raw.set("rq:queue:beta", "wreck")
    plain.enqueue()
    ran = within(PATIENCE_S, plain.effects)
    return f"{_fate(not worker.alive)}, other queues {'flow' if ran else 'stand'}"


def pickled(plain: Plain) -> str:
    marker = plain.lane.folder / "pickled"
    marker.unlink(missing_ok=True)
    plain.idle(plain.worker(*ONE))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    call = pickle.dumps(("os.mkdir", None, (str(marker),), {}))
    plain.raw.hset(
        "rq:job:evil", mapping={"status": "queued", "origin": "alpha", "created_at": now, "timeout": 9, "data": call}
    )
    plain.raw.rpush("rq:queue:alpha", "evil")
    ran = within(PATIENCE_S, marker.exists)
    if ran:
        marker.rmdir()
    return "loaded, and any function is called" if ran else "not run"


def large_payload(plain: Plain) -> str:
    rq.Queue("alpha", connection=plain.raw).enqueue(effect, "x" * 50 * 1024 * 1024)
    return f"accepted ({plain.raw.llen('rq:queue:alpha')} job)"


def secret_in_trace(plain: Plain) -> str:
    plain.worker(*ONE)
    plain.enqueue(how="secret", retries=0)
    eventually(lambda: plain.status() == "failed")
    text = str(rq.job.Job.fetch("job", connection=plain.raw).latest_result().exc_string)
    return f"{len(text) / 1e6:.1f} MB kept, secret {'readable' if 'hunter2-hunter2' in text else 'gone'}"


ROWS: dict[str, Callable[[Plain], str]] = {
    "answer of an enqueue lost": enqueue_reply_lost,
    "answer of a pop lost, 1 queue": pop_reply_lost(ONE, (b"BLMOVE",)),
    "answer of a pop lost, 2 queues": pop_reply_lost(TWO, (b"BLPOP",)),
    "answer of a completion lost": settle_reply_lost,
    "black hole, idle": black_hole_idle,
    "black hole, busy": black_hole_busy,
    "outage until the job has ended": outage,
    "READONLY": refused("READONLY You can't write against a read only replica."),
    "OOM": refused("OOM command not allowed when used memory > 'maxmemory'."),
    "NOAUTH": refused("NOAUTH Authentication required."),
    "LOADING": refused("LOADING Redis is loading the dataset in memory"),
    "server killed until the job has ended": server_killed,
    "server frozen": server_frozen,
    "kill -9 of the worker, horse alive": parent_killed,
    "SIGSTOP past the lease": stopped_past_lease,
    "segfault": ends_as("segfault"),
    "os._exit(0)": ends_as("exit-0"),
    "exceptions swallowed": swallowed,
    "grandchild in a session of its own": grandchild,
    "poison": poison,
    "two cron schedulers": two_schedulers,
    "cron scheduler down": missed_ticks,
    "unreadable field, 1 queue": broken_field(ONE),
    "unreadable field, 2 queues": broken_field(TWO),
    "id without its hash": missing_hash,
    "key of the wrong type": wrong_type,
    "pickle": pickled,
    "payload of 50 MB": large_payload,
    "traceback of 2 MB with a secret": secret_in_trace,
}


def measured(lane: Lane, only: str = "") -> Iterator[tuple[str, str]]:
    """(fault, what came of it); a row that cannot be measured says why."""
    for name, row in ROWS.items():
        if only and only not in name:
            continue
        plain = Plain(lane)
        try:
            yield name, row(plain)
        except Exception as problem:  # noqa: BLE001 - the other rows are measured
            yield name, f"not measured: {type(problem).__name__}: {str(problem).splitlines()[:1]}"
        finally:
            plain.close()

"""The sweep: a role dies before and after each of its round trips, one a try; others recover; nothing may be lost.

A *lane* is a Valkey, a home, a sink and a producer's log; several lanes try points beside each other, because a try
mostly waits for a lease to end. A *scene* says what is set up, which role dies, and who recovers.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import redis
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.jobs.options import EnqueueOptions
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role, Store
from support.faults.acts import NONCE
from support.faults.invariants import Evidence, assert_invariants, gather, quiesced
from support.faults.jobs import APART, PLUGIN
from support.faults.points import VARIABLE, Armed, Point, Victims, When
from support.faults.producing import ProducerLog
from support.faults.roles import PACE, Member, Start, parent_of, zygote
from support.faults.sink import Sink
from support.servers import start_valkey
from support.waiting import eventually

ORPHAN_S = 1.0
"""A job's process is dead so soon after its worker."""
MISSES = 2
"""So many numbers in a row that no process reached are the end of a role's round trips."""


@dataclass(slots=True)
class Lane:
    """A small world of its own."""

    folder: Path
    url: str
    raw: redis.Redis
    app: Flowzz
    sink: Sink
    log: ProducerLog
    start: Start
    expected: set[str] = field(default_factory=set)

    def clear(self) -> None:
        """Empty, scripts forgotten as well: a process that loads them makes two round trips more."""
        self.raw.flushall()
        self.raw.script_flush()
        self.sink.clear()
        self.log.path.unlink(missing_ok=True)
        self.expected.clear()
        for file in self.folder.glob("*.log"):
            file.unlink()
        self.marker.unlink(missing_ok=True)

    @property
    def marker(self) -> Path:
        return self.folder / "marker"

    def role(self, name: str, **more: str) -> Member:
        return self.start(name, self.folder, self.url, **more)

    def enqueue(self, job: str, job_id: str, options: EnqueueOptions | None = None, **payload: object) -> str:
        """By the test itself; it is expected to complete."""
        self.expected.add(job_id)
        fields = {name: getattr(options, name) for name in ("delay", "depends_on") if options}
        named = EnqueueOptions(job_id=job_id, nonce=NONCE, **fields)
        with self.log.trying((job_id, NONCE)):
            return self.app.enqueue(job, {"sink": str(self.sink.path), **payload}, named)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """``role`` runs armed, after ``arrange``; ``recover`` starts who takes over, and gives who is stopped at the end.

    ``armed``: its own round trips count, or those of its jobs' processes. ``halfway`` looks at what a dead one left.
    """

    name: str
    role: str
    arrange: Callable[[Lane], Mapping[str, str]]
    recover: Callable[[Lane, Mapping[str, str]], Sequence[Member]]
    armed: Armed = "self"
    victims: Victims = "self"
    halfway: Callable[[Lane], None] = lambda lane: None


def worker_again(lane: Lane, told: Mapping[str, str]) -> Sequence[Member]:
    """Recovery by a fresh worker."""
    return [lane.role("worker", **told)]


@dataclass(frozen=True, slots=True)
class Shot:
    """One try. ``at``: the round trip it died at, None when there was no such number."""

    point: Point
    at: str | None
    lost: int = 0
    twice: int = 0
    rerun: int = 0


@dataclass(slots=True)
class Tally:
    """All tries of a scene: so many points, at so many of them a job lost, or an effect tried twice."""

    name: str
    points: int = 0
    lost: int = 0
    once: int = 0
    twice: int = 0
    rerun: int = 0
    twice_at: Counter[str] = field(default_factory=Counter)

    def add(self, shot: Shot) -> None:
        if shot.at is None:
            return
        self.points += 1
        self.lost += bool(shot.lost)
        self.twice += bool(shot.twice)
        self.once += not shot.lost and not shot.twice
        self.rerun += bool(shot.rerun)
        if shot.twice:
            self.twice_at[f"{shot.point.when} {shot.at}"] += 1


@contextmanager
def lanes(folder: Path, count: int) -> Iterator[list[Lane]]:
    """``count`` worlds that share one zygote."""
    with ExitStack() as stack:
        start = stack.enter_context(zygote())
        with closing(Store.open(Settings.load(home=folder / "home"))) as store:
            store.migrate()
            store.add_user("admin@flowzz.example", SecretStr("correct horse battery"), Role.ADMIN)
        yield [stack.enter_context(_lane(folder, number, start)) for number in range(count)]


@contextmanager
def _lane(parent: Path, number: int, start: Start) -> Iterator[Lane]:
    folder = parent / f"lane-{number}"
    (folder / "valkey").mkdir(parents=True)
    shutil.copytree(parent / "home", folder / "home")
    server = start_valkey(folder / "valkey")
    url = f"redis://127.0.0.1:{server.port}/0"
    pace = {name.removeprefix("FLOWZZ_").lower(): value for name, value in PACE.items()}
    settings = Settings.load(home=folder / "home", redis_url=url, **pace)
    try:
        with Flowzz.open(settings, plugins=PluginHost.of([PLUGIN, APART])) as app, redis.Redis.from_url(url) as raw:
            yield Lane(folder, url, raw, app, Sink(folder / "sink.db"), ProducerLog(folder / "tries"), start)
    finally:
        server.stop()


def shoot(lane: Lane, scene: Scene, point: Point) -> Shot:
    """One try. AssertionError, naming scene and point, when an invariant is broken or somebody did not get up again."""
    try:
        return _shoot(lane, scene, point)
    except AssertionError as error:
        at = lane.marker.read_text() if lane.marker.exists() else "not reached"
        told = f"{scene.name}, {point.when} round trip {point.number} ({at})"
        raise AssertionError(f"{told}: {error}") from error


def _shoot(lane: Lane, scene: Scene, point: Point) -> Shot:
    lane.clear()
    told = scene.arrange(lane)
    member = lane.role(scene.role, **told, **{VARIABLE: point.dump()})
    _live_out(lane, member)
    if not member.finished:
        assert lane.marker.exists(), f"{scene.role} broke:\n{member.output()}"
        _orphans_die(lane)
        scene.halfway(lane)
        helpers = scene.recover(lane, told)
        quiesced(lane.app.queues, 60)
        for helper in helpers:
            assert helper.alive or helper.finished, f"{helper.role} broke:\n{helper.output()}"
            helper.kill()
    elif scene.role != "worker":
        _finish(lane)
    evidence = gather(lane.url, lane.sink, lane.log)
    assert_invariants(evidence)
    at = lane.marker.read_text() if lane.marker.exists() else None
    return _judged(lane, point, at, evidence)


def _live_out(lane: Lane, member: Member) -> None:
    """Until it is dead; a worker is told to stop when there is nothing left to do."""

    def over() -> bool:
        if not member.alive:
            return True
        try:
            quiesced(lane.app.queues, 0)
        except AssertionError:
            return False
        member.signal(15)
        return member.wait(30)

    if member.role == "worker":
        eventually(over, 60, saying=f"{member.role} has come to its end\n{member.output()}")
    else:
        assert member.wait(60), f"{member.role} does not end:\n{member.output()}"


def _finish(lane: Lane) -> None:
    """What the role left to do, is done."""
    worker = lane.role("worker")
    quiesced(lane.app.queues, 60)
    worker.kill()


def _orphans_die(lane: Lane) -> None:
    """F3: no handler outlives its worker."""
    running = {run.pid for run in lane.sink.runs() if run.ended is None}
    eventually(lambda: not any(map(parent_of, running)), ORPHAN_S, saying=f"the processes {running} of jobs are dead")


def _judged(lane: Lane, point: Point, at: str | None, evidence: Evidence) -> Shot:
    completed = {job_id for job_id, (status, _, _) in evidence.census.hashes.items() if status == "finished"}
    repeated = {commit.job_id for commit in evidence.commits if commit.refused}
    stalled = {job_id for job_id, history in evidence.census.history.items() if any(e.was_lost for e in history)}
    return Shot(point, at, len(lane.expected - completed), len(repeated & lane.expected), len(stalled))


def trips_of(lane: Lane, scene: Scene) -> int:
    """How many round trips the role makes when nobody kills it."""
    trips = lane.folder / "trips"
    trips.unlink(missing_ok=True)
    shoot(lane, scene, _point(lane, scene, 0, "before", str(trips)))
    return len(trips.read_text().splitlines())


def _point(lane: Lane, scene: Scene, number: int, when: When, trips: str = "") -> Point:
    return Point(number, when, str(lane.marker), trips, scene.armed, scene.victims)


def sweep(worlds: Sequence[Lane], scene: Scene, shoot: Callable[[Lane, Scene, Point], Shot] = shoot) -> Tally:
    """Every point there is: numbers go up until no process reaches them."""
    tally, lock = Tally(scene.name), threading.Lock()
    state = {when: [1, 0] for when in get_args(When)}  # the next number, misses in a row

    def work(lane: Lane) -> None:
        for when, progress in state.items():
            while True:
                with lock:
                    if progress[1] >= MISSES:
                        break
                    number, progress[0] = progress[0], progress[0] + 1
                shot = shoot(lane, scene, _point(lane, scene, number, when))
                with lock:
                    tally.add(shot)
                    progress[1] = progress[1] + 1 if shot.at is None else 0

    _spread(worlds, work)
    return tally


def sample(worlds: Sequence[Lane], scene: Scene, count: int, seed: int) -> Tally:
    """About ``count`` of the scene's points, evenly spread, beginning where ``seed`` says.

    A role does not make as many round trips each time: instead of a number that it did not reach, the half is tried.
    """
    trips = trips_of(worlds[0], scene)
    points = [(number, when) for number in range(1, trips + 1) for when in get_args(When)]
    step = max(1, len(points) // count)
    chosen = deque(points[random.Random(seed).randrange(step) :: step])
    tally, lock = Tally(scene.name), threading.Lock()

    def work(lane: Lane) -> None:
        while True:
            with lock:
                if not chosen:
                    return
                number, when = chosen.popleft()
            shot = shoot(lane, scene, _point(lane, scene, number, when))
            with lock:
                tally.add(shot)
                if shot.at is None and number > 1:
                    chosen.append((number // 2, when))

    _spread(worlds, work)
    return tally


def _spread(worlds: Sequence[Lane], work: Callable[[Lane], None]) -> None:
    with ThreadPoolExecutor(len(worlds)) as pool:
        for ended in [pool.submit(work, lane) for lane in worlds]:
            ended.result()

"""Processes that are killed, frozen or cut off: nothing is lost, and what runs twice is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from flowzz.app import Flowzz
from flowzz.errors import NotAllowedInState
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.lanes import Lane, LimitKey
from flowzz.settings import Settings
from support.engine import completed, ended, failure_text, new_job, step
from support.probe import plugin
from support.processes import environment, role
from support.servers import start_valkey
from support.shop import OF_THIS_HOUSE, install
from support.waiting import eventually
from support.working import noted, working

SOON = timedelta(seconds=90)
"""Processes start, leases end; more than that is hung, also on a machine with much else to do."""


@pytest.fixture
def app(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate()
        yield opened


def logged(folder: Path) -> list[str]:
    file = folder / "log"
    return [line.partition(" ")[2] for line in file.read_text().splitlines()] if file.exists() else []


def test_a_job_of_a_killed_worker_resumes_at_its_checkpoint(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.pages", {"folder": str(tmp_path), "pages": 50})
    with role("worker", home, redis_url) as worker:
        eventually(lambda: app.queues.job(job_id).checkpoint == {"page": 3})
        worker.kill()
        worker.wait()
    (tmp_path / "go").touch()
    with role("worker", home, redis_url, FLOWZZ_LEASE="30"):
        job = app.queues.wait(job_id, SOON)
    assert (job.state, job.stalled_count, job.attempts_made) == (JobState.COMPLETED, 1, 1)
    assert logged(tmp_path) == [f"page {n}" for n in range(1, 51)]
    assert [attempt.outcome for attempt in app.queues.attempts(job_id)] == ["stalled", "completed"]


def test_a_job_that_kills_its_worker_each_time_fails_as_stalled(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    for run in (1, 2):
        with role("worker", home, redis_url) as worker:
            eventually(lambda run=run: logged(tmp_path).count("block 1") == run)
            worker.kill()
            worker.wait()
    with role("worker", home, redis_url):
        job = app.queues.wait(job_id, SOON)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.type == "Stalled"


def test_a_frozen_workers_late_result_is_refused(app: Flowzz, home: Path, redis_url: str, tmp_path: Path) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    with role("worker", home, redis_url) as frozen:
        eventually(lambda: logged(tmp_path) == ["block 1"])
        frozen.send_signal(signal.SIGSTOP)
        with role("worker", home, redis_url, FLOWZZ_LEASE="30"):
            eventually(lambda: logged(tmp_path) == ["block 1", "block 1"])
            (tmp_path / "go").touch()
            job = app.queues.wait(job_id, SOON)
            first = app.queues.attempts(job_id)
            frozen.send_signal(signal.SIGCONT)
            frozen.send_signal(signal.SIGTERM)
            frozen.wait(90)
    assert job.state is JobState.COMPLETED
    assert app.queues.attempts(job_id) == first
    with redis.Redis.from_url(redis_url) as raw:
        events = b"\n".join(entry[b"events"] for _, entry in raw.xrange(keys.EVENTS()))
    assert b"late_commit_rejected|probe|" + job_id.encode() in events
    assert [attempt.outcome for attempt in first] == ["stalled", "completed"]


def test_a_terminated_worker_finishes_its_job_and_exits_0(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    with role("worker", home, redis_url, FLOWZZ_LEASE="30") as worker:
        eventually(lambda: logged(tmp_path) == ["block 1"])
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: app.queues.workers()[0].state == "stopping")
        (tmp_path / "go").touch()
        assert worker.wait(90) == 0
    assert app.queues.job(job_id).state is JobState.COMPLETED


def test_past_the_grace_the_job_goes_back_and_the_worker_exits_1(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    with role("worker", home, redis_url, FLOWZZ_SHUTDOWN_GRACE="0.1", FLOWZZ_LEASE="30") as worker:
        eventually(lambda: logged(tmp_path) == ["block 1"])
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(90) == 1
    job = app.queues.job(job_id)
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)


def test_a_worker_survives_a_restart_of_its_redis_and_loses_nothing(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "valkey"
    server = start_valkey(data, config={"appendonly": "yes"}, persist=True)
    url, port = f"redis://127.0.0.1:{server.port}/0", server.port
    settings = Settings.load(home=home, redis_url=url)
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as app:
        app.store.migrate()
        job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
        with role("worker", home, url, FLOWZZ_LEASE="20"):
            eventually(lambda: logged(tmp_path) == ["block 1"])
            server.stop()
            (tmp_path / "go").touch()
            eventually(lambda: "unblocked" in logged(tmp_path))
            assert not app.queues.ping()
            server = start_valkey(data, port=port, config={"appendonly": "yes"}, persist=True)
            assert eventually(lambda: app.queues.ping())
            job = app.queues.wait(job_id, SOON)
    server.stop()
    assert job.state is JobState.COMPLETED
    assert logged(tmp_path) == ["block 1", "unblocked"]


@pytest.fixture
def rough(settings: Settings) -> Iterator[Flowzz]:
    """With the plugin whose jobs behave badly."""
    quick = settings.model_copy(update={"heartbeat": 0.2, "lease": 2, "sweep": 0.2, "kill_grace": 0.3})
    with Flowzz.open(quick, plugins=PluginHost.of(["support.rough:plugin"])) as opened:
        opened.store.migrate()
        yield opened


Start = Callable[[], AbstractContextManager[subprocess.Popen[bytes]]]


@pytest.fixture
def supervised(rough: Flowzz, home: Path, redis_url: str, tmp_path: Path) -> Start:
    """``flowzz worker --processes 1``: a supervisor and its one worker."""
    site = install(tmp_path / "site", entry="support.rough:plugin", name="rough")
    paths = os.pathsep.join([str(site), str(Path(__file__).parents[1])])
    env = environment(home, redis_url, {"PYTHONPATH": paths, "FLOWZZ_DISABLED_PLUGINS": OF_THIS_HOUSE})

    @contextmanager
    def started() -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "flowzz.cli", "--quiet", "worker", "--processes", "1"]
        process = subprocess.Popen(command, env=env, start_new_session=True)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(90)

    return started


def pid_gone(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


class TestThreads:
    """A handler in a thread that takes its worker along."""

    @pytest.mark.parametrize("how", ["segfault", "exit-0"])
    def test_the_worker_is_replaced_and_what_it_held_runs_again(
        self, rough: Flowzz, supervised: Start, tmp_path: Path, how: str
    ) -> None:
        folder = {"folder": str(tmp_path)}
        with supervised():
            neighbour = rough.enqueue("rough.neighbour", folder)
            eventually(lambda: noted(tmp_path, "neighbour"))
            deadly = rough.enqueue("rough.deadly", {**folder, "how": f"once-{how}"})
            eventually(lambda: len(set(noted(tmp_path, "neighbour"))) == 2)
            (tmp_path / "go").touch()
            for job_id in (deadly, neighbour):
                job = rough.queues.wait(job_id, SOON)
                assert (job.state, job.stalled_count, job.attempts_made) == (JobState.COMPLETED, 1, 1)

    def test_a_poison_job_is_dead_after_two_workers_and_the_others_flow(
        self, rough: Flowzz, supervised: Start, tmp_path: Path
    ) -> None:
        with supervised() as supervisor:
            poison = rough.enqueue("rough.deadly", {"folder": str(tmp_path), "how": "abort"})
            dead = rough.queues.wait(poison, SOON)
            ids = [rough.enqueue("rough.quick", {"folder": str(tmp_path)}) for _ in range(20)]
            assert {rough.queues.wait(job_id, SOON).state for job_id in ids} == {JobState.COMPLETED}
            assert supervisor.poll() is None
        assert dead.state is JobState.FAILED
        assert dead.error is not None
        assert dead.error.type == "Stalled"
        assert len(noted(tmp_path, "deadly")) == 2

    def test_one_that_holds_the_interpreter_past_its_lease_is_refused(
        self, rough: Flowzz, home: Path, redis_url: str, tmp_path: Path
    ) -> None:
        """A C call that does not let go of the GIL: not even the lease keeper runs."""
        with (
            role("worker", home, redis_url, PROBE_PLUGIN="rough"),
            role("worker", home, redis_url, PROBE_PLUGIN="rough"),
        ):
            eventually(lambda: len(rough.queues.workers()) == 2)
            job_id = rough.enqueue("rough.deadly", {"folder": str(tmp_path), "how": "once-gil"})
            job = rough.queues.wait(job_id, SOON)
            eventually(lambda: "late_commit_rejected" in [event.name for event in rough.queues.events()])
        assert job.state is JobState.COMPLETED
        assert job.result["pid"] != noted(tmp_path, "deadly")[0]
        assert [attempt.outcome for attempt in rough.queues.attempts(job_id)] == ["stalled", "completed"]


class TestApart:
    """A handler in a process of its own; tests/core/test_isolation.py has the plain ways to die."""

    @pytest.fixture
    def rough(self, rough: Flowzz) -> Iterator[Flowzz]:
        """With a lease that outlasts a busy machine: nothing here waits for its end."""
        with Flowzz.open(rough.settings.model_copy(update={"lease": 30}), plugins=rough.plugins) as opened:
            yield opened

    @pytest.mark.parametrize(
        ("name", "how", "said"),
        [
            ("rough.apart", "overflow", "its process was ended by SIGSEGV"),
            ("rough.apart", "closed", "its process exited with code 1 and without an outcome"),
            ("rough.deaf", "swallow", "ran longer than its timeout of 0.6 s, and was killed"),
        ],
    )
    def test_it_costs_one_attempt(self, rough: Flowzz, tmp_path: Path, name: str, how: str, said: str) -> None:
        with working(rough):
            job = rough.queues.wait(rough.enqueue(name, {"folder": str(tmp_path), "how": how}), SOON)
        assert job.error is not None
        assert job.error.message.startswith(said)
        assert (job.state, job.attempts_made, job.stalled_count) == (JobState.FAILED, 1, 0)

    def test_who_holds_the_interpreter_keeps_its_lease(self, rough: Flowzz, tmp_path: Path) -> None:
        """It does for 3 s."""
        short = rough.settings.model_copy(update={"lease": 2})
        with Flowzz.open(short, plugins=rough.plugins) as rough, working(rough):
            job = rough.queues.wait(rough.enqueue("rough.apart", {"folder": str(tmp_path), "how": "gil"}), SOON)
        assert (job.state, job.stalled_count) == (JobState.COMPLETED, 0)

    def test_a_daemon_that_left_the_session_ends_with_its_job(self, rough: Flowzz, tmp_path: Path) -> None:
        with working(rough):
            waiting = rough.enqueue("rough.apart", {"folder": str(tmp_path), "how": "wait"})
            job_id = rough.enqueue("rough.apart", {"folder": str(tmp_path), "how": "daemon"})
            assert rough.queues.wait(job_id, SOON).state is JobState.COMPLETED
            (daemon,) = noted(tmp_path, "daemon")
            eventually(lambda: pid_gone(daemon))
            (tmp_path / "go").touch()
            assert rough.queues.wait(waiting, SOON).state is JobState.COMPLETED

    def test_folder_and_umask_are_its_own(self, rough: Flowzz, tmp_path: Path) -> None:
        before = f"{Path.cwd()} {os.umask(0o22)}"
        with working(rough):
            for how in ("elsewhere", "where"):
                rough.queues.wait(rough.enqueue("rough.apart", {"folder": str(tmp_path), "how": how}), SOON)
        assert f"where {before.rpartition(' ')[0]}" in (tmp_path / "log").read_text()
        assert " 511" not in (tmp_path / "log").read_text()

    @pytest.mark.parametrize("count", [40, pytest.param(1_000, marks=pytest.mark.long)], ids=["short", "long"])
    def test_many_forks_while_threads_work_never_hang(self, rough: Flowzz, tmp_path: Path, count: int) -> None:
        folder = {"folder": str(tmp_path)}
        kept = rough.settings.model_copy(update={"keep_completed": 2 * count})
        with Flowzz.open(kept, plugins=rough.plugins) as rough, working(rough):
            ids = [rough.enqueue(name, folder) for _ in range(count) for name in ("rough.apart", "rough.quick")]
            for job_id in ids:
                assert rough.queues.wait(job_id, timedelta(seconds=120)).state is JobState.COMPLETED


def test_a_second_sigterm_hands_the_jobs_back_at_once(app: Flowzz, home: Path, redis_url: str, tmp_path: Path) -> None:
    job_id = app.enqueue("probe.block", {"folder": str(tmp_path)})
    with role("worker", home, redis_url, FLOWZZ_SHUTDOWN_GRACE="600", FLOWZZ_LEASE="30") as worker:
        eventually(lambda: logged(tmp_path) == ["block 1"])
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: app.queues.workers()[0].state == "stopping")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(90) == 1
    job = app.queues.job(job_id)
    assert (job.state, job.attempts_made, job.stalled_count) == (JobState.WAITING, 0, 0)


def test_sigterm_while_jobs_are_claimed_loses_and_repeats_none(
    app: Flowzz, home: Path, redis_url: str, tmp_path: Path
) -> None:
    ids = [app.enqueue("probe.work", {"folder": str(tmp_path)}) for _ in range(600)]
    kept = {"FLOWZZ_KEEP_COMPLETED": "1000", "FLOWZZ_LEASE": "30"}
    for share in (1, 300):
        with role("worker", home, redis_url, FLOWZZ_CONCURRENCY="5", **kept) as worker:
            eventually(lambda share=share: len(logged(tmp_path)) >= share)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(90) == 0
    with role("worker", home, redis_url, **kept):
        eventually(lambda: len(logged(tmp_path)) == len(ids))
        assert {app.queues.wait(job_id, SOON).state for job_id in ids} == {JobState.COMPLETED}
    assert len(logged(tmp_path)) == len(ids)
    assert {app.queues.job(job_id).stalled_count for job_id in ids} == {0}


@pytest.mark.parametrize("kind", ["completed", "retrying"])
def test_a_cancel_that_races_has_one_outcome_and_says_which(app: Flowzz, kind: str) -> None:
    """Against the claim and the settle of the same job: canceled before it began, told to stop, or refused as over."""
    told: dict[str, str] = {}
    ran: set[str] = set()
    ids = [f"job-{number}" for number in range(60)]
    app.queues.transitions.enqueue([new_job(job_id) for job_id in ids])

    def cancel() -> None:
        for job_id in ids:
            answer, before = app.queues.transitions.manage("cancel", job_id, "no more", 200)
            told[job_id] = before if answer == "ok" else answer

    def work() -> None:
        while claims := step(app.queues, want=2).claims:
            ran.update(claim.job_id for claim in claims)
            ends = [completed(c) if kind == "completed" else ended(c, kind, delay_ms=3_600_000) for c in claims]
            step(app.queues, *ends, want=0)

    threads = [threading.Thread(target=cancel), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = {"completed": JobState.COMPLETED, "retrying": JobState.DELAYED}[kind]
    for job_id in ids:
        state = app.queues.job(job_id).state
        match told[job_id]:
            case "queued":
                assert (state, job_id in ran) == (JobState.CANCELED, False)
            case "started":
                assert (state, job_id in ran) == (after, True)
            case "scheduled":
                assert (state, job_id in ran) == (JobState.CANCELED, True)
            case "refused":
                assert (state, job_id in ran) == (JobState.COMPLETED, True)
                with pytest.raises(NotAllowedInState, match="completed"):
                    app.queues.cancel(job_id)
            case other:
                raise AssertionError(f"{job_id} was told {other}")


def test_the_slot_of_a_lost_worker_is_free_when_its_lease_ends(app: Flowzz) -> None:
    lane = Lane(company="loja-1", job="probe.work", limits=(LimitKey("account", 1),))
    app.queues.transitions.enqueue([new_job(job_id, lane=lane) for job_id in ("holder", "waiter")])
    (held,) = step(app.queues, worker="lost", lease_ms=300).claims
    assert step(app.queues, worker="other").claims == []

    def next_one() -> str | None:
        app.queues.transitions.rescue(limit=10, keep_failed=10, failure_text=failure_text(), max_stalled=0)
        claims = step(app.queues, worker="other").claims
        return claims[0].job_id if claims else None

    eventually(next_one)
    assert [limit.used for limit in app.queues.limits().items] == [1]
    assert step(app.queues, completed(held), want=0).verdicts == [0]

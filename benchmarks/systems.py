"""The systems under measurement: how each is installed, fed and run, and how to see that its jobs are done.

The concurrency of each is the best of a sweep on two cores; the settings are those its users have, with retries on and
results kept. What differs from a system's defaults is said in ``notes``, which the report prints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from installing import HERE, install

Ask = Callable[..., int]
"""Sends one command to Redis that answers with a whole number."""
Done = Callable[[Ask, int], bool]
"""True when the final state of so many jobs is in Redis."""


@dataclass(frozen=True, kw_only=True)
class System:
    """``produce`` and ``work`` are commands; ``{bin}``, ``{concurrency}`` and ``{worker}`` in them are filled in.

    ``jobs`` of a drain at scale 1; ``variant``: it shares its producer with another; ``keeps``: so many ended jobs stay
    (None: all).
    """

    name: str
    title: str
    folder: str
    produce: Sequence[str]
    work: Sequence[str]
    done: Done
    concurrency: int
    io_concurrency: int
    jobs: int
    python: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    bulk: bool = False
    variant: str = ""
    is_ours: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    job_names: Mapping[str, str] = field(default_factory=dict)
    keeps: int | None = None
    notes: str = ""

    @property
    def cwd(self) -> Path:
        return HERE / "peers" / self.folder

    def installed(self) -> System:
        """The same with commands that exist. Raises NotInstalled."""
        if self.is_ours:
            return self
        folder = install(self.folder, python=self.python, node=self.node)
        binaries = str(folder / "venv/bin")
        filled = {
            "produce": [word.replace("{bin}", binaries) for word in self.produce],
            "work": [word.replace("{bin}", binaries) for word in self.work],
            "environment": {**self.environment, "NODE_PATH": str(folder / "node_modules")},
        }
        return replace(self, **filled)  # type: ignore[arg-type]


def ours(name: str, python: str, **changes: object) -> System:
    """Flowzz as the interpreter ``python`` finds it."""
    system = System(
        name=name,
        title="Flowzz",
        folder="flowzz",
        is_ours=True,
        produce=[python, "produce.py"],
        work=[python, "work.py"],
        done=lambda ask, n: ask("LLEN", "rq:queue:bench") == 0 and ask("ZCARD", "rq:wip:bench") == 0,
        concurrency=50,
        io_concurrency=100,
        jobs=20_000,
        bulk=True,
        keeps=100,
        notes="defaults; keeps the last 100 completed jobs of a queue, with their results",
    )
    return replace(system, **changes)  # type: ignore[arg-type]


def variants(label: str, python: str) -> list[System]:
    """Flowzz with threads, with coroutines, and with a retention that keeps every job, as Bull's default does."""
    name = f"flowzz:{label}" if label else "flowzz"
    tag = f" [{label}]" if label else ""
    coroutines = {"noop": "async_noop", "io": "async_io"}
    every: Done = lambda ask, n: ask("ZCARD", "rq:finished:bench") >= n  # noqa: E731
    return [
        ours(name, python, title=f"Flowzz{tag}"),
        ours(
            f"{name}-async",
            python,
            variant="async",
            title=f"Flowzz, async def{tag}",
            job_names=coroutines,
            notes="the handlers are coroutines",
        ),
        ours(
            f"{name}-keep",
            python,
            variant="keep",
            title=f"Flowzz, keeps every job{tag}",
            environment={"FLOWZZ_KEEP_COMPLETED": "10000000"},
            done=every,
            keeps=None,
            notes="FLOWZZ_KEEP_COMPLETED raised, as Bull, BullMQ and bee-queue keep every job",
        ),
    ]


def _sorted_set(key: str) -> Done:
    return lambda ask, n: ask("ZCARD", key) >= n


def _results_and_empty(*empty: tuple[str, str]) -> Done:
    """One key a result, and nothing left where jobs wait or run."""
    return lambda ask, n: ask("DBSIZE") >= n and all(ask(*command) == 0 for command in empty)


REDIS = ("redis==8.1.0", "hiredis==3.5.0")
PYTHON, NODE = ["{bin}/python", "produce.py"], ["node", "produce.js"]

PEERS: list[System] = [
    System(
        name="bull",
        title="Bull 4.16.5",
        folder="bull",
        node=("bull@4.16.5",),
        produce=NODE,
        work=["node", "work.js"],
        done=_sorted_set("bull:bench:completed"),
        concurrency=50,
        io_concurrency=100,
        jobs=20_000,
        bulk=True,
        notes="attempts 3, exponential backoff",
    ),
    System(
        name="beequeue",
        title="bee-queue 2.0.0",
        folder="beequeue",
        node=("bee-queue@2.0.0",),
        produce=NODE,
        work=["node", "work.js"],
        done=lambda ask, n: ask("SCARD", "bq:bench:succeeded") >= n,
        concurrency=200,
        io_concurrency=100,
        jobs=20_000,
        bulk=True,
        notes="retries 2; no events, removeOnSuccess off; it does not store what the handler returns",
    ),
    System(
        name="bullmq",
        title="BullMQ 6.7.0",
        folder="bullmq",
        node=("bullmq@6.7.0", "ioredis@6.0.0"),
        produce=NODE,
        work=["node", "work.js"],
        done=_sorted_set("bull:bench:completed"),
        concurrency=100,
        io_concurrency=100,
        jobs=20_000,
        bulk=True,
        notes="attempts 3, exponential backoff",
    ),
    System(
        name="rq",
        title="rq 3.0.0, SimpleWorker",
        folder="rq",
        python=("rq==3.0.0", *REDIS),
        produce=PYTHON,
        work=["{bin}/python", "work.py", "SimpleWorker"],
        done=_sorted_set("rq:finished:bench"),
        concurrency=1,
        io_concurrency=1,
        jobs=800,
        bulk=True,
        notes="Retry(max=2), with its scheduler",
    ),
    System(
        name="rq-fork",
        variant="fork",
        title="rq 3.0.0, Worker",
        folder="rq",
        python=("rq==3.0.0", *REDIS),
        produce=PYTHON,
        work=["{bin}/python", "work.py", "Worker"],
        done=_sorted_set("rq:finished:bench"),
        concurrency=1,
        io_concurrency=1,
        jobs=200,
        bulk=True,
        notes="its default worker, which forks for each job",
    ),
    System(
        name="celery",
        title="Celery 5.7.0, prefork 2",
        folder="celery",
        python=("celery==5.7.0", "packaging", *REDIS),
        produce=PYTHON,
        work=["{bin}/celery", "-A", "tasks", "worker", "-l", "WARNING", "-c", "{concurrency}", "-n", "w{worker}@%h"],
        done=_results_and_empty(("LLEN", "celery"), ("HLEN", "unacked")),
        concurrency=2,
        io_concurrency=2,
        jobs=2_000,
        notes="acks_late; one worker has two processes for jobs",
    ),
    System(
        name="celery-threads",
        variant="threads",
        title="Celery 5.7.0, threads",
        folder="celery",
        python=("celery==5.7.0", "packaging", *REDIS),
        produce=PYTHON,
        work=[
            *("{bin}/celery", "-A", "tasks", "worker", "-l", "WARNING"),
            *("-P", "threads", "-c", "{concurrency}", "-n", "w{worker}@%h"),
        ],
        done=_results_and_empty(("LLEN", "celery"), ("HLEN", "unacked")),
        concurrency=1,
        io_concurrency=100,
        jobs=2_000,
        notes="acks_late",
    ),
    System(
        name="dramatiq",
        title="Dramatiq 2.2.1",
        folder="dramatiq",
        python=("dramatiq==2.2.1", *REDIS),
        produce=PYTHON,
        work=["{bin}/dramatiq", "tasks", "--processes", "1", "--threads", "{concurrency}"],
        done=_results_and_empty(("HLEN", "dramatiq:default.msgs")),
        concurrency=32,
        io_concurrency=64,
        jobs=4_000,
        notes="max_retries 2, results stored",
    ),
    System(
        name="huey",
        title="Huey 3.5.4",
        folder="huey",
        python=("huey==3.5.4", *REDIS),
        produce=PYTHON,
        work=["{bin}/huey_consumer", "tasks.huey", "-w", "{concurrency}", "-k", "thread", "-q"],
        done=lambda ask, n: ask("HLEN", "huey.results.bench") >= n,
        concurrency=4,
        io_concurrency=64,
        jobs=4_000,
        notes="retries 2; a job is lost when its worker dies",
    ),
    System(
        name="arq",
        title="arq 0.28.0",
        folder="arq",
        python=("arq==0.28.0", "hiredis==3.5.0", "uvloop==0.23.0"),
        produce=PYTHON,
        work=["{bin}/python", "work.py"],
        done=_results_and_empty(("ZCARD", "arq:queue")),
        concurrency=50,
        io_concurrency=100,
        jobs=4_000,
        notes="tuned: polls every 5 ms (default 500), reads 500; uvloop",
    ),
    System(
        name="taskiq",
        title="taskiq 0.13.0, streams",
        folder="taskiq",
        python=("taskiq==0.13.0", "taskiq-redis==1.2.4", *REDIS, "uvloop==0.23.0"),
        produce=PYTHON,
        work=[
            *("{bin}/taskiq", "worker", "tasks:broker", "--workers", "1"),
            *("--max-async-tasks", "{concurrency}", "--log-level", "WARNING"),
        ],
        done=lambda ask, n: ask("DBSIZE") >= n and ask("XPENDING", "taskiq", "taskiq") == 0,
        concurrency=100,
        io_concurrency=100,
        jobs=4_000,
        notes="RedisStreamBroker, results kept an hour; uvloop",
    ),
    System(
        name="saq",
        title="SAQ 0.26.4",
        folder="saq",
        python=("saq==0.26.4", "typing_extensions", "redis==7.4.1", "hiredis==3.5.0", "uvloop==0.23.0"),
        produce=PYTHON,
        work=["{bin}/python", "work.py"],
        done=lambda ask, n: ask("ZCARD", "saq:bench:incomplete") == 0 and ask("LLEN", "saq:bench:active") == 0,
        concurrency=20,
        io_concurrency=100,
        jobs=4_000,
        notes="retries 3; uvloop",
    ),
    System(
        name="streaq",
        title="streaq 7.2.0",
        folder="streaq",
        python=("streaq==7.2.0", "uvloop==0.23.0"),
        produce=PYTHON,
        work=["{bin}/python", "tasks.py"],
        done=_results_and_empty(("XLEN", "streaq:bench:queues:normal")),
        concurrency=16,
        io_concurrency=100,
        jobs=4_000,
        bulk=True,
        notes="max_tries 3; uvloop",
    ),
]


def all_systems(interpreters: Mapping[str, str]) -> list[System]:
    """Ours once an interpreter (label → path), then the peers."""
    found = interpreters or {"": sys.executable}
    return [*(system for label, python in found.items() for system in variants(label, python)), *PEERS]

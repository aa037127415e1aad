"""Runs one benchmark of a plugin: everything fresh, the sandbox and the worker in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import httpx
from server import Server

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from integrations.bench import Benchmark, Stage

HERE = Path(__file__).parents[1]
STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 1800.0
LOOK_S = 0.02
WARM_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True)
class Measured:
    """One line of the table; seconds and MB. ``share``: the part of the handlers' time spent on the upstream."""

    name: str
    title: str
    database: str
    size: int
    unit: str
    wall_s: float
    rate: float
    peak_mb: float
    child_peak_mb: float
    cpu_s: float
    calls: int
    upstream_s: float
    share: float
    floors_s: dict[str, float]
    floor_s: float
    times_floor: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(benchmark: Benchmark, *, scale: float, database_url: str | None) -> Measured:
    """Raises AssertionError when the work was not done, TimeoutError when it does not end."""
    size = max(1, round(benchmark.size * scale))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-plugin-")))
        valkey = stack.enter_context(Server())
        given = {"home": folder / "home", "redis_url": valkey.url, **benchmark.settings}
        settings = Settings.load(**given, **({"database_url": database_url} if database_url else {}))
        app = stack.enter_context(Flowzz.open(settings, plugins=PluginHost.discover(settings)))
        app.store.migrate(app.plugins.migrations)
        sandbox = stack.enter_context(_sandbox(folder))
        http = stack.enter_context(httpx.Client(timeout=60))
        stage = Stage(app, f"{sandbox}/{benchmark.plugin}", http, size)
        jobs, wall, used = _work(benchmark, stage, valkey.url, database_url, folder)
        benchmark.check(stage, jobs)
        floors = {name: floor(stage) for name, floor in benchmark.floors.items()}
    floor = sum(floors.values())
    return Measured(
        name=benchmark.name,
        title=benchmark.title,
        database="PostgreSQL" if database_url else "SQLite",
        size=size,
        unit=benchmark.unit,
        wall_s=wall,
        rate=size / wall,
        peak_mb=used["peak_mb"],
        child_peak_mb=used["child_peak_mb"],
        cpu_s=used["cpu_s"],
        calls=used["calls"],
        upstream_s=used["upstream_s"],
        share=used["upstream_s"] / used["handler_s"] if used["handler_s"] else 0.0,
        floors_s=floors,
        floor_s=floor,
        times_floor=wall / floor if floor else float("inf"),
    )


def _work(
    benchmark: Benchmark, stage: Stage, redis_url: str, database_url: str | None, folder: Path
) -> tuple[list[str], float, dict[str, Any]]:
    """The jobs, the seconds from a ready worker to the end of the last of them, and what the worker says of itself."""
    app = stage.app
    environment = _environment(REDIS_URL=redis_url, DATABASE_URL=database_url or "")
    command = [sys.executable, "-m", "integrations.worker", str(app.settings.home), str(benchmark.concurrency)]
    with (folder / "worker.log").open("w") as log:
        worker = subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            _say_ready(worker.stdout)
            for job_id in benchmark.warm(stage):
                app.queues.wait(job_id, WARM_WITHIN)
            everything = sorted({job.queue for job in app.plugins.jobs.values()})
            for queue in everything:
                app.queues.pause(queue, "the benchmark begins when all its jobs are there")
            jobs = benchmark.prepare(stage)
            watched = list(benchmark.watch) or sorted({app.queues.job(job_id).queue for job_id in jobs})
            began = time.perf_counter()
            for queue in everything:
                app.queues.resume(queue)
            _wait_until_empty(app, watched)
            wall = time.perf_counter() - began
        finally:
            worker.terminate()
            said, _ = worker.communicate(timeout=60)
    return jobs, wall, json.loads(said.strip().splitlines()[-1])


def _say_ready(stream: IO[str] | None) -> None:
    if stream is None or stream.readline().strip() != "ready":
        raise RuntimeError("the worker did not start; see its log")


def _wait_until_empty(app: Flowzz, queues: list[str]) -> None:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < deadline:
        if not any(one.waiting + one.paused + one.active + one.delayed for one in app.queues.stats(queues)):
            return
        time.sleep(LOOK_S)
    raise TimeoutError(f"the jobs did not end within {ENDS_WITHIN_S:g} s")


@contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    """``flowzz sandbox`` in a process of its own, so that its CPU time and memory are not the worker's."""
    command = [sys.executable, "-m", "flowzz.cli", "sandbox", "--port", "0"]
    output = folder / "sandbox.log"
    with output.open("w") as log:
        environment = _environment(FLOWZZ_HOME=str(folder / "sandbox"))
        process = subprocess.Popen(command, cwd=HERE, env=environment, stdout=log, stderr=log)
    try:
        yield _address(process, output)
    finally:
        process.terminate()
        process.wait(30)


def _address(process: subprocess.Popen[bytes], output: Path) -> str:
    import re

    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", output.read_text())
        if found:
            return found[0]
        time.sleep(LOOK_S)
    raise RuntimeError(f"the sandbox did not start: {output.read_text()[-2000:]}")


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWZZ_")}
    return {**kept, **{name: value for name, value in more.items() if value}}

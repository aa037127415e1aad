"""What was measured: kept as JSON, printed as one table."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from installing import HERE


@dataclass
class Results:
    """``runs``: stage → system → metric → its values. ``curves``: curve → system → point → metric → its values."""

    about: dict[str, str]
    titles: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    curves: dict[str, dict[str, dict[str, dict[str, list[float]]]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, stage: str, system: str, metrics: dict[str, float]) -> None:
        _append(self.runs.setdefault(stage, {}).setdefault(system, {}), metrics)

    def add_point(self, curve: str, system: str, point: int, metrics: dict[str, float]) -> None:
        _append(self.curves.setdefault(curve, {}).setdefault(system, {}).setdefault(str(point), {}), metrics)

    def fail(self, what: str) -> None:
        self.failures.append(what)
        print(what, flush=True)

    def values(self, stage: str, system: str, metric: str) -> list[float]:
        return self.runs.get(stage, {}).get(system, {}).get(metric, [])

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        return cls(**json.loads(path.read_text()))


def _append(kept: dict[str, list[float]], metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        kept.setdefault(name, []).append(value)


@dataclass(frozen=True)
class Column:
    title: str
    stage: str
    metric: str
    spread: bool = False
    digits: int = 0


COLUMNS = [
    Column("drain/s", "drain", "rate", spread=True),
    Column("two/s", "two", "rate"),
    Column("20 ms I/O/s", "io", "rate"),
    Column("enqueue/s", "enqueue", "one_rate"),
    Column("bulk/s", "enqueue", "bulk_rate"),
    Column("p50 ms", "idle", "p50_ms", digits=1),
    Column("p99 ms", "idle", "p99_ms", digits=1),
    Column("worker µs", "drain", "worker_us"),
    Column("Redis µs", "drain", "redis_us"),
    Column("commands", "drain", "commands", digits=1),
    Column("reads", "drain", "reads", digits=2),
    Column("B waiting", "drain", "waiting_bytes"),
    Column("B kept", "drain", "kept_bytes"),
    Column("PSS MB", "drain", "pss_mb"),
    Column("idle ms/s", "idle", "idle_worker_ms", digits=1),
]


def about(*, server: str, size: str) -> dict[str, str]:
    """The machine, the versions and the moment. ``size`` says how much was measured."""
    cpu = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {size}",
        "revision": _said("git", "describe", "--always", "--dirty"),
        "processor": f"{os.cpu_count()} × {cpu[0] if cpu else platform.machine()}",
        "system": f"Linux {platform.release()}",
        "server": server,
        "Python": platform.python_version(),
        "Node": _said("node", "--version"),
    }


def as_text(results: Results) -> str:
    """One line a system; medians, and the range where there is room."""
    columns = [column for column in COLUMNS if column.stage in results.runs]
    rows = [["", *(column.title for column in columns)]]
    for name, title in results.titles.items():
        found = [_cell(results.values(column.stage, name, column.metric), column) for column in columns]
        if any(cell != "–" for cell in found):
            rows.append([title, *found])
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns) + 1)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    missing = [f"{results.titles[name]}: not installed: {reason}" for name, reason in results.missing.items()]
    return "\n".join(["", *lines, *missing, *results.failures])


def _cell(values: list[float], column: Column) -> str:
    if not values:
        return "–"
    median = f"{statistics.median(values):,.{column.digits}f}"
    if not column.spread or len(values) < 2:
        return median
    return f"{median} ({min(values):,.0f}–{max(values):,.0f})"


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []

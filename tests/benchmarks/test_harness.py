"""The benchmark runs from end to end, says what it cannot measure, and its document shows what was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from flowzz.supervision.bundled import CONFIGURATION, INLINE_BYTES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FIGURES = {
    "enqueue": {"one_rate", "bulk_rate"},
    "drain": {"rate", "worker_us", "redis_us", "commands", "reads", "writes", "waiting_bytes", "rss_mb", "pss_mb"},
    "floor": {"floor_rate", "floor_redis_us"},
    "idle": {"p50_ms", "p99_ms", "idle_commands", "idle_pss_mb"},
}


def harness(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=BENCHMARKS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _is_measured(name: str, value: float | None) -> bool:
    """CPU time is counted in ticks of 10 ms, and so few jobs may take less than one."""
    return value is not None and (value >= 0 if name.endswith("_us") else value > 0)


def test_a_tiny_run_measures_ours_from_end_to_end(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    stages = [*FIGURES, "queues"]
    size = ["--rounds", "1", "--scale", "0.005"]
    done = harness("run.py", "--only", "flowzz", "--stages", ",".join(stages), *size, "--output", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(output.read_text())
    missing = {
        (stage, name)
        for stage, names in FIGURES.items()
        for name in names
        if not all(_is_measured(name, value) for value in results["runs"][stage]["flowzz"].get(name, [None]))
    }
    assert missing == set()
    assert results["runs"]["drain"]["flowzz"]["handled_twice"] == [0]
    assert results["runs"]["drain"]["flowzz-keep"]["kept_bytes"][0] > 0
    assert set(results["curves"]["queues"]["flowzz"]) == {"1", "10", "100"}
    assert "Flowzz, async def" in done.stdout


def test_a_peer_that_cannot_be_installed_is_shown_with_the_reason_and_fails_the_run(tmp_path: Path) -> None:
    peers = f"import installing, pathlib; installing.PEERS = pathlib.Path({str(tmp_path)!r})"
    arguments = ["run.py", "--only", "bull", "--stages", "drain", "--output", str(tmp_path / "results.json")]
    code = f"{peers}; import run, sys; sys.argv = {arguments!r}; sys.exit(run.main())"
    done = harness("-c", code, PATH="/nowhere")
    assert done.returncode == 1
    assert "Bull 4.16.5: not installed: there is no npm here" in done.stdout
    assert "MISSING Bull 4.16.5: there is no npm here" in done.stderr
    published = harness("-c", code.replace("'run.py'", "'run.py', '--publish'"), PATH="/nowhere")
    assert published.returncode == 1
    assert "nothing is measured" in published.stderr


def test_a_target_is_met_missed_or_not_measured() -> None:
    code = """
import report, targets
made = report.Results({}, {})
made.runs = {"drain": {"flowzz": {"rate": [1, 9, 20]}, "bull": {"rate": [4.5]}, "beequeue": {"rate": [9]}}}
made.curves = {"depth": {"flowzz": {"1000": {"rate": [10]}, "1000000": {"rate": [7]}}}}
made.runs["idle"] = {"flowzz": {"idle_worker_ms": [10.0], "p50_ms": [2]}, "bull": {"p50_ms": [1.9]}}
print(targets.table(made))
"""
    shown = harness("-c", code)
    assert shown.returncode == 0, shown.stderr
    rows = [line.strip("| ").split(" | ") for line in shown.stdout.splitlines()[2:]]
    told = {row[0]: row[1:] for row in rows}
    assert told["drain of no-op jobs, of Bull's"] == ["≥ 2.00 ×", "2.00 ×", "met"]
    assert told["drain, of bee-queue's"] == ["≥ 1.50 ×", "1.00 ×", "**missed**"]
    assert told["drain, of the fastest Python peer's"] == ["≥ 10.00 ×", "–", "not measured"]
    assert told["drain with 10⁶ waiting behind, of that with 10³"] == ["≥ 80.0 %", "70.0 %", "**missed**"]
    assert told["pickup p50, of Bull's"] == ["≤ 1.00 ×", "1.05 ×", "**missed**"]
    assert told["CPU of an idle worker"] == ["≤ 1.0 %", "1.0 %", "met"]


def test_an_unknown_system_or_stage_is_refused() -> None:
    assert "no such system; there are flowzz, flowzz-async" in harness("run.py", "--only", "bul").stderr
    assert "expected some of enqueue, drain" in harness("run.py", "--stages", "drian").stderr


def test_the_document_shows_the_figures_that_are_kept() -> None:
    done = harness("document.py", "--check")
    assert done.returncode == 0, done.stderr


def test_the_plugins_are_measured_against_their_sandboxes() -> None:
    done = harness("run.py", "--integrations", "--only", "coinzz", "--scale", "0.005")
    assert done.returncode == 0, done.stderr
    (measured,) = json.loads((BENCHMARKS / ".peers" / "integrations.json").read_text())
    assert (measured["name"], measured["size"], measured["database"]) == ("coinzz.sync", 500, "SQLite")
    assert measured["wall_s"] > 0
    assert measured["floor_s"] == sum(measured["floors_s"].values()) > 0
    assert 0 < measured["share"] < 1
    assert (measured["calls"], measured["peak_mb"] > 20) == (1, True)


def test_the_server_is_configured_as_the_bundled_one() -> None:
    shown = harness("-c", "import json, server; print(json.dumps(server.SETTINGS))").stdout
    bundled = CONFIGURATION.format(host="h", port=1, password="p", folder="f", inline_bytes=INLINE_BYTES).splitlines()
    assert {f"{name} {value or chr(34) * 2}" for name, value in json.loads(shown).items()} <= set(bundled)

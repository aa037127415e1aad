"""Renews ``docs/performance.md`` and its pictures from ``results.json``, or from the raw figures of another run."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import chart
import targets
from installing import HERE
from report import Results
from stages.curves import CURVES

RESULTS = HERE / "results.json"
DOCUMENT = HERE.parent / "docs" / "performance.md"
PICTURES = HERE.parent / "docs" / "images"


def publish(results: Results) -> None:
    """Keep the raw figures in the repository and renew what is made from them."""
    results.save(RESULTS)
    for name, picture in pictures(results).items():
        (PICTURES / name).write_text(picture, encoding="utf-8")
    DOCUMENT.write_text(renewed(DOCUMENT.read_text(encoding="utf-8"), results), encoding="utf-8")


def renewed(text: str, results: Results) -> str:
    """The document with its generated parts as they should be."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise LookupError(f"{DOCUMENT.name}: expected a part {begin.strip()} … {end}")
        text = f"{before}{begin}{make(results)}\n{end}{after}"
    return text


def pictures(results: Results) -> dict[str, str]:
    """File name → SVG."""
    made = {}
    drains = [(title, _spread(values)) for name, title in results.titles.items() if (values := _drain(results, name))]
    if drains:
        drains.sort(key=lambda drain: -drain[1].median)
        made["performance-drain.svg"] = chart.bars("No-op jobs a second, one worker", drains, marked="Flowzz")
    for file, names in {"depth": ["depth"], "queues": ["queues"], "companies": ["companies", "blocks"]}.items():
        measured = {CURVES[name].title: _curve(results, name) for name in names if _curve(results, name)}
        if measured:
            axis = CURVES[names[0]].axis
            made[f"performance-{file}.svg"] = chart.lines(f"Drain, jobs a second, by {axis}", axis, measured)
    return made


def _drain(results: Results, name: str) -> list[float]:
    return results.values("drain", name, "rate")


def _curve(results: Results, name: str) -> dict[int, chart.Spread]:
    measured = next(iter(results.curves.get(name, {}).values()), {})
    return {int(point): _spread(metrics["rate"]) for point, metrics in measured.items()}


def _spread(values: Sequence[float]) -> chart.Spread:
    return chart.Spread(min(values), statistics.median(values), max(values))


Cell = tuple[str, str, str, str]
"""Title, stage, metric, format of the median."""

THROUGHPUT: list[Cell] = [
    ("drain, one worker", "drain", "rate", ",.0f"),
    ("lowest–highest", "drain", "rate", "spread"),
    ("drain, two workers", "two", "rate", ",.0f"),
    ("20 ms I/O", "io", "rate", ",.0f"),
    ("enqueue one by one", "enqueue", "one_rate", ",.0f"),
    ("in bulk", "enqueue", "bulk_rate", ",.0f"),
]
COST: list[Cell] = [
    ("worker CPU µs", "drain", "worker_us", ",.0f"),
    ("Redis CPU µs", "drain", "redis_us", ",.0f"),
    ("Redis commands", "drain", "commands", ",.1f"),
    ("to enqueue", "enqueue", "one_commands", ",.1f"),
    ("socket reads", "drain", "reads", ",.2f"),
    ("socket writes", "drain", "writes", ",.2f"),
    ("bytes waiting", "drain", "waiting_bytes", ",.0f"),
    ("bytes kept", "drain", "kept_bytes", ",.0f"),
]
WORKER: list[Cell] = [
    ("pickup p50 ms", "idle", "p50_ms", ",.2f"),
    ("p99 ms", "idle", "p99_ms", ",.2f"),
    ("idle: worker CPU ms/s", "idle", "idle_worker_ms", ",.1f"),
    ("Redis CPU ms/s", "idle", "idle_redis_ms", ",.1f"),
    ("commands/s", "idle", "idle_commands", ",.0f"),
    ("PSS MB", "idle", "idle_pss_mb", ",.0f"),
    ("busy: PSS MB", "drain", "pss_mb", ",.0f"),
    ("peak RSS MB", "drain", "rss_mb", ",.0f"),
]


def _table(cells: Sequence[Cell]) -> Callable[[Results], str]:
    def made(results: Results) -> str:
        rows = [f"| | {' | '.join(title for title, *_ in cells)} |", f"|---|{'--:|' * len(cells)}"]
        for name, title in results.titles.items():
            if name in results.missing:
                rows.append(f"| {title} | not installed: {results.missing[name]}{' |' * len(cells)}")
                continue
            found = [_shown(results.values(stage, name, metric), form) for _, stage, metric, form in cells]
            if any(cell != "–" for cell in found):
                rows.append(f"| {title} | {' | '.join(found)} |")
        return "\n".join(rows)

    return made


def _shown(values: Sequence[float], form: str) -> str:
    if not values:
        return "–"
    if form == "spread":
        return f"{min(values):,.0f}–{max(values):,.0f}"
    return format(statistics.median(values), form)


def _about(results: Results) -> str:
    rows = [f"- {name}: {value}" for name, value in results.about.items()]
    rows += [f"- failed: {failure}" for failure in results.failures]
    for name, title in results.titles.items():
        if (twice := sum(results.values("drain", name, "handled_twice"))) > 0:
            rows.append(f"- {title} ran {twice:.0f} jobs of its drains twice")
    return "\n".join(rows)


def _floor(results: Results) -> str:
    rows = ["| | jobs/s | Redis CPU µs a job | calls a job |", "|---|--:|--:|--:|"]
    for name, title in results.titles.items():
        if results.values("floor", name, "floor_rate"):
            figures = [
                _shown(results.values("floor", name, metric), form)
                for metric, form in (("floor_rate", ",.0f"), ("floor_redis_us", ",.0f"), ("floor_calls", ",.3f"))
            ]
            rows.append(f"| the floor of {title} | {' | '.join(figures)} |")
            drained = [_shown(_drain(results, name), ",.0f"), _shown(results.values("drain", name, "redis_us"), ",.0f")]
            rows.append(f"| its drain | {' | '.join(drained)} | – |")
    return "\n".join(rows)


def _settings(results: Results) -> str:
    rows = ["| | settings beside the defaults |", "|---|---|"]
    return "\n".join([*rows, *(f"| {title} | {results.notes[name]} |" for name, title in results.titles.items())])


def _curves(results: Results) -> str:
    rows = ["| | at | jobs/s | lowest–highest | worker µs | Redis µs | commands |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name, systems in results.curves.items():
        for point, metrics in next(iter(systems.values())).items():
            figures = [
                _shown(metrics[metric], form)
                for metric, form in (
                    ("rate", ",.0f"),
                    ("rate", "spread"),
                    ("worker_us", ",.0f"),
                    ("redis_us", ",.0f"),
                    ("commands", ",.1f"),
                )
            ]
            rows.append(f"| {CURVES[name].title} | {int(point):,} | {' | '.join(figures)} |")
    return "\n".join(rows)


PARTS: dict[str, Callable[[Results], str]] = {
    "about": _about,
    "targets": targets.table,
    "throughput": _table(THROUGHPUT),
    "cost": _table(COST),
    "worker": _table(WORKER),
    "floor": _floor,
    "curves": _curves,
    "settings": _settings,
}


def stale(results: Results) -> list[str]:
    """Which files are not as they should be."""
    text = DOCUMENT.read_text(encoding="utf-8")
    old = [DOCUMENT.name] if renewed(text, results) != text else []
    made = pictures(results)
    return old + [name for name in made if (PICTURES / name).read_text(encoding="utf-8") != made[name]]


def main() -> None:
    """``document.py [RESULTS]``: renew; ``document.py --check``: exit 1 when it is stale."""
    if sys.argv[1:] != ["--check"]:
        publish(Results.load(Path(sys.argv[1]) if sys.argv[1:] else RESULTS))
    elif names := stale(Results.load(RESULTS)):
        raise SystemExit(f"{', '.join(names)}: run python benchmarks/document.py")


if __name__ == "__main__":
    main()

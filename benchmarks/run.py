"""Measures Flowzz beside its peers: the same jobs, the same Valkey, the same clock, in interleaved rounds.

    make bench                                   everything, about 15 to 18 minutes
    make bench ARGS=--publish                    the same, and renews docs/performance.md
    make bench ARGS=--quick                      a look, about 3 minutes
    make bench ARGS='--only flowzz,bull --stages drain --rounds 5'

    make bench ARGS=--integrations               the plugins against their sandboxes (integrate.py)

``benchmarks/README.md`` says more; ``docs/performance.md`` says what the figures mean.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import document
import report
from installing import PEERS, NotInstalled
from server import Server
from stages import curves
from stages.drain import Metrics
from stages.table import STAGES
from systems import System, all_systems
from workers import Failed

FAILURES = (Failed, OSError, subprocess.SubprocessError)
LAST = PEERS / "last.json"


ALL = [*STAGES, *curves.CURVES]


def main() -> int:
    """1 when something could not be measured. Nothing is measured for a publication that would lack a peer."""
    options = _options()
    systems = _chosen(options)
    results = report.Results(
        about=report.about(server=_server(), size=_size(options)),
        titles={system.name: system.title for system in systems},
        notes={system.name: f"{system.notes}; {system.concurrency} in flight" for system in systems},
    )
    ready = _installed(systems, results)
    for name, reason in results.missing.items():
        print(f"MISSING {results.titles[name]}: {reason}", file=sys.stderr, flush=True)
    if options.publish and results.missing:
        print("nothing is measured, since nothing would be published without them", file=sys.stderr)
        return 1
    for stage in options.stages.split(",") if options.stages else ALL:
        began = time.monotonic()
        if stage in curves.CURVES:
            _measure_curve(stage, ready, results, options.scale)
        else:
            _measure(stage, ready, results, rounds=options.rounds, scale=options.scale)
        print(f"{stage}: {time.monotonic() - began:.0f} s", flush=True)
        results.save(options.output)
    print(report.as_text(results))
    if options.publish:
        document.publish(results)
    for failure in results.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if results.failures or results.missing else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="one round of a fifth of the jobs")
    parser.add_argument("--only", help="systems, separated by commas; `flowzz` means its variants too")
    parser.add_argument("--stages", help=f"of {', '.join(ALL)}; default: all")
    parser.add_argument("--rounds", type=int, help="how often each is measured (default 3)")
    parser.add_argument("--scale", type=float, help="multiplies the numbers of jobs (default 1)")
    parser.add_argument(
        "--flowzz-python",
        dest="flowzz",
        action="append",
        default=[],
        metavar="[LABEL=]PATH",
        help="interpreter that has Flowzz installed (default: this one); several, with labels, are compared",
    )
    parser.add_argument("--concurrency", help="jobs at the same time, for all; several, separated by commas: a sweep")
    parser.add_argument("--publish", action="store_true", help="renew benchmarks/results.json and docs/performance.md")
    parser.add_argument("--output", type=Path, default=LAST, help="where the raw figures go (default: %(default)s)")
    options = parser.parse_args()
    options.scale = options.scale or (0.2 if options.quick else 1.0)
    options.rounds = options.rounds or (1 if options.quick else 3)
    if options.stages and (unknown := set(options.stages.split(",")) - set(ALL)):
        parser.error(f"--stages: expected some of {', '.join(ALL)}, got {', '.join(sorted(unknown))}")
    return options


def _size(options: argparse.Namespace) -> str:
    rounds = "1 round" if options.rounds == 1 else f"{options.rounds} rounds"
    return f"{rounds}, {options.scale:.0%} of the jobs"


def _server() -> str:
    with Server() as server:
        return f"{server.version}, appendonly yes, appendfsync everysec, hash-max-listpack-value 1024"


def _at(system: System, concurrency: int) -> System:
    return replace(
        system,
        name=f"{system.name}@{concurrency}",
        title=f"{system.title} @{concurrency}",
        concurrency=concurrency,
        io_concurrency=concurrency,
    )


def _chosen(options: argparse.Namespace) -> list[System]:
    known = all_systems(dict(given.rpartition("=")[::2] for given in options.flowzz))
    systems = [system for system in known if _wanted(system.name, options.only)]
    if not systems:
        names = ", ".join(system.name for system in known)
        raise SystemExit(f"--only {options.only}: no such system; there are {names}")
    if options.concurrency is None:
        return systems
    return [_at(system, int(number)) for number in options.concurrency.split(",") for system in systems]


def _wanted(name: str, only: str | None) -> bool:
    return only is None or any(name == word or name.startswith((f"{word}-", f"{word}:")) for word in only.split(","))


def _installed(systems: Sequence[System], results: report.Results) -> list[System]:
    ready = []
    for system in systems:
        try:
            ready.append(system.installed())
        except NotInstalled as reason:
            results.missing[system.name] = str(reason)
    return ready


def _measure(name: str, systems: Sequence[System], results: report.Results, *, rounds: int, scale: float) -> None:
    """One stage of all systems, in rounds, so that a slow moment of the machine does not hit only one of them."""
    stage = STAGES[name]
    for round_number in range(min(rounds, stage.rounds or rounds)):
        for system in systems:
            if not stage.fits(system):
                continue
            try:
                metrics = stage.run(system, scale)
            except FAILURES as error:
                results.fail(f"{name}, {system.title}: {error}")
                continue
            results.add(name, system.name, metrics)
            _show(f"{name} {round_number + 1}", system.name, metrics)


def _measure_curve(name: str, systems: Sequence[System], results: report.Results, scale: float) -> None:
    for point in curves.points(name, scale):
        for system in systems:
            if not system.is_ours or system.variant:
                continue
            try:
                measured = curves.measure(system, name, point, scale)
            except FAILURES as error:
                results.fail(f"{name} {point}, {system.title}: {error}")
                continue
            for metrics in measured:
                results.add_point(name, system.name, point, metrics)
                _show(f"{name} {point:,}", system.name, metrics)


def _show(what: str, system: str, metrics: Metrics) -> None:
    shown = "  ".join(f"{key} {value:,.4g}" for key, value in metrics.items())
    print(f"{what}  {system:16} {shown}", flush=True)


if __name__ == "__main__":
    if "--integrations" in sys.argv:
        import integrate

        sys.exit(integrate.main(sys.argv[1:]))
    sys.exit(main())

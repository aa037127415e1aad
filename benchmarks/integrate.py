"""Measures the plugins against their sandboxes: wall time, memory, the share of waiting, and how far from the floor.

make bench ARGS=--integrations
make bench ARGS='--integrations --only coinzz --scale 0.1 --postgres'
make bench ARGS='--integrations --publish'       renews docs/performance-integrations.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from installing import PEERS
from integrations.bench import Benchmark
from integrations.measure import Measured, measure
from integrations.table import all_benchmarks

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance-integrations.md"
KEPT = Path(__file__).parent / "integrations" / "results.json"
HEAD = """# Performance of the integrations

What `make bench ARGS='--integrations --publish'` measured last, on one machine, the plugin's own sandbox on localhost.
A sandbox is slower than nothing and faster than any real upstream, so this shows what the plugin itself costs.

- **wall**: from a ready worker to the end of the last job. **peak**: the worker's largest resident memory; for jobs
  with processes of their own the largest such process stands behind the `+`.
- **waiting**: the part of the handlers' time spent on the upstream, from a request's first byte to its answer's last;
  Coinzz's sync stores a page meanwhile.
- **floor**: the parts no program could do without, each done alone by the shortest code there is, added up.

"""

FOOT = """
Measured on 2 × AMD EPYC with Python 3.11; the floor was taken right after each. Times and ratios vary by a fifth from
run to run on a machine that others share.

## What brought them here

- **Coinzz** (1.9 to 2.2 × before on SQLite, 6.3 on PostgreSQL). The next page is asked for while one is stored, each
  page is parsed once, an order that was just made is not read back, and its past is not looked for: a search that
  PostgreSQL, whose statistics lag behind a first sync, did through all of the company's events.
- **WhatsApp** (3.2 × before on SQLite). Nothing is sent before the attempt is on record, and the answer is one more
  transaction, which keeps a message from being sent twice. Those of many threads are committed together now (see
  [architecture.md](architecture.md), "What measuring taught"). The sandbox alone takes a third.
- **The PDF** (2.6 × before on SQLite). More than half of that was the benchmark: its worker said it was ready before
  its process of plugins had loaded, so the first report waited for that (1.5 s, once in a worker's life). The rest:
  only the columns that a page shows are kept for its queries, months only for long periods, the table by state
  follows from the one by status. On PostgreSQL (3.1 × before) those rows were not kept, but selected by each query.
- **Upserts on PostgreSQL** (Facebook 4.6 × before). They asked for keys back that nobody used, so each went out as one
  text with thousands of values; without, the driver sends prepared rows in a pipeline.
"""


def main(arguments: Sequence[str]) -> int:
    """1 when something could not be measured."""
    options = _options(arguments)
    wanted = [
        one for one in all_benchmarks() if not options.only or one.name.startswith(tuple(options.only.split(",")))
    ]
    results: list[Measured] = []
    failed = False
    for postgres in (False, True) if options.both else (options.postgres,):
        for benchmark in wanted:
            try:
                results.append(_measured(benchmark, options.scale, postgres=postgres))
            except (AssertionError, OSError, RuntimeError, TimeoutError) as error:
                failed = True
                print(f"{benchmark.name}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            print("\n".join(_lines(results[-1:])), flush=True)
    PEERS.mkdir(exist_ok=True)
    (PEERS / "integrations.json").write_text(json.dumps([one.as_json() for one in results], indent=2))
    if options.publish and results:
        _publish(results)
    return 1 if failed else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrations", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", help="names, or their beginnings, separated by commas")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the units of work (default 1)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--both", action="store_true", help="on both databases")
    parser.add_argument("--publish", action="store_true", help="renew docs/performance-integrations.md")
    return parser.parse_args(arguments)


def _measured(benchmark: Benchmark, scale: float, *, postgres: bool) -> Measured:
    with _database(postgres=postgres) as url:
        return measure(benchmark, scale=scale, database_url=url)


@contextmanager
def _database(*, postgres: bool) -> Iterator[str | None]:
    if not postgres:
        yield None
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from support.postgres import postgres_server

    with postgres_server() as server, server.database() as url:
        yield url


def _publish(results: list[Measured]) -> None:
    """Beside those of earlier runs that this one did not repeat."""
    known = {(one["name"], one["database"]): one for one in json.loads(KEPT.read_text())} if KEPT.exists() else {}
    known |= {(one.name, one.database): one.as_json() for one in results}
    KEPT.write_text(json.dumps(list(known.values()), indent=2) + "\n")
    DOCUMENT.write_text(HEAD + "\n".join(_lines([Measured(**one) for one in known.values()])) + "\n" + FOOT)


def _lines(results: list[Measured]) -> list[str]:
    columns = ("what", "database", "wall", "rate", "peak", "waiting", "calls", "floor", "× floor")
    rows = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for one in results:
        child = f" + {one.child_peak_mb:,.0f}" if one.child_peak_mb > one.peak_mb else ""
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one.floors_s.items())
        cells = (
            one.title if one.size >= 1000 else f"{one.title} ({one.size})",
            one.database,
            f"{one.wall_s:.1f} s",
            f"{one.rate:,.0f} {one.unit}/s",
            f"{one.peak_mb:,.0f}{child} MB",
            f"{one.share:.0%}",
            f"{one.calls:,}",
            f"{one.floor_s:.1f} s ({parts})",
            f"{one.times_floor:.2f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

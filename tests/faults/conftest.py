"""The seed of a run of faults, and the table at its end."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from support.faults.crashes import Tally

COLUMNS = ("points", "lost", "once", "twice", "rerun")


@pytest.fixture(scope="session")
def seed() -> int:
    """Of everything random; ``FLOWZZ_SEED`` repeats a run."""
    return int(os.environ.get("FLOWZZ_SEED") or random.randrange(10**6))


@pytest.fixture
def tell(record_property: Callable[[str, object], None], seed: int) -> Callable[[Tally], None]:
    """Puts a role's figures into the table at the end of the run."""

    def note(tally: Tally) -> None:
        print(f"FLOWZZ_SEED={seed} {tally}")
        at = ", ".join(f"{place} ({times})" for place, times in tally.twice_at.most_common())
        record_property("faults", [tally.name, *(getattr(tally, column) for column in COLUMNS), at])

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        value
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, value in report.user_properties
        if name == "faults" and report.when == "call"
    ]
    if rows:
        terminalreporter.section("faults: kill -9 at every round trip")
        terminalreporter.line(f"{'role':40}" + "".join(f"{column:>8}" for column in COLUMNS))
        for name, *counts, at in rows:
            terminalreporter.line(
                f"{name:40}" + "".join(f"{count:8}" for count in counts) + (f"   twice {at}" if at else "")
            )

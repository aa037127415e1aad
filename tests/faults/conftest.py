"""The seed of a run of faults, and the table at its end."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support.faults.chaos import Toll
from support.faults.crashes import Tally

COLUMNS = ("points", "lost", "once", "twice", "rerun")


@pytest.fixture(scope="session")
def seed() -> int:
    """Of everything random; ``FLOWZZ_SEED`` repeats a run."""
    return int(os.environ["FLOWZZ_SEED"])


@pytest.fixture
def tell(record_property: Callable[[str, object], None], seed: int) -> Callable[[Tally], None]:
    """Puts a role's figures into the table at the end of the run."""

    def note(tally: Tally) -> None:
        print(f"FLOWZZ_SEED={seed} {tally}")
        at = ", ".join(f"{place} ({times})" for place, times in tally.twice_at.most_common())
        record_property("faults", [tally.name, *(getattr(tally, column) for column in COLUMNS), at])

    return note


@pytest.fixture
def tell_toll(record_property: Callable[[str, object], None], seed: int) -> Callable[[Toll], None]:
    """Puts what chaos came to under the table."""

    def note(toll: Toll) -> None:
        print(f"FLOWZZ_SEED={seed} {toll}")
        record_property("chaos", f"seed {seed}: {toll}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    told = [one for report in reports if report.when == "call" for one in report.user_properties]
    rows = [value for name, value in told if name == "faults"]
    if rows:
        terminalreporter.section("kill -9 before and after each round trip")
        terminalreporter.line(f"{'role':40}" + "".join(f"{column:>8}" for column in COLUMNS))
        for name, *counts, at in rows:
            counted = "".join(f"{count:8}" for count in counts)
            terminalreporter.line(f"{name:40}{counted}" + (f"   twice {at}" if at else ""))
    for name, value in told:
        if name == "chaos":
            terminalreporter.section("chaos")
            terminalreporter.line(value)

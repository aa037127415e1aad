"""The README's tables are true: every fault is in it, and every test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowzz_facebook.connection import FacebookConnection
from flowzz_facebook.models import metadata
from flowzz_facebook.performance import COLUMNS
from flowzz_facebook.plugin import flowzz_jobs
from flowzz_facebook.sandbox.faults import CATALOGUE
from flowzz_facebook.sandbox.state import SandboxState

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.partition("### Every misfortune")[2].partition("## Limits")[0].splitlines()
    if line.startswith("|") and not line.startswith(("| misfortune", "|---"))
]
TUNING = {"most_rows", "allowance_seconds", "block_seconds"}
"""Settings that only say how much of a misfortune another one makes."""


def test_every_switch_has_its_row() -> None:
    switches = " ".join(row[1] for row in ROWS)
    for name in [*CATALOGUE, *(SandboxState().settings.keys() - TUNING)]:
        assert f"`{name}`" in switches, name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_full_and_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 4
    assert all(row)
    written = "".join(file.read_text(encoding="utf-8") for file in HERE.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", row[3])
    assert named
    for name in named:
        assert f"def {name}(" in written, name


def test_fields_jobs_tables_and_columns_are_documented() -> None:
    columns = (column.name for column in COLUMNS)
    for name in [*FacebookConnection.model_fields, *(job.name for job in flowzz_jobs()), *metadata.tables, *columns]:
        assert f"`{name}`" in README, name

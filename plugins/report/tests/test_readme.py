"""The README is true: its tables name every setting, job, column and table, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowzz_report.configuration import ReportSettings
from flowzz_report.models import metadata
from flowzz_report.plugin import flowzz_jobs
from flowzz_report.topics import TOPICS

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.partition("### Every misfortune")[2].partition("## Table")[0].splitlines()
    if line.startswith("|") and not line.startswith(("| misfortune", "|---"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_full_and_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 3
    assert all(row)
    written = "".join(file.read_text(encoding="utf-8") for file in HERE.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", row[2])
    assert named
    for name in named:
        assert f"def {name}(" in written, name


def test_settings_jobs_tables_and_columns_are_documented() -> None:
    settings = [name.upper() for name in ReportSettings.model_fields]
    columns = [column for topic in TOPICS.values() for column in topic.columns]
    for name in [*settings, *(job.name for job in flowzz_jobs()), *metadata.tables, *TOPICS, *columns]:
        assert f"`{name}`" in README, name

"""The README's tables are true: every fault is in it, and every test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowzz_whatsapp.configuration import WhatsAppSettings
from flowzz_whatsapp.connection import WhatsAppConnection
from flowzz_whatsapp.models import metadata
from flowzz_whatsapp.plugin import flowzz_jobs
from flowzz_whatsapp.sandbox.faults import CATALOGUE
from flowzz_whatsapp.sandbox.sender import Delivery
from flowzz_whatsapp.sandbox.state import SETTINGS
from flowzz_whatsapp.states import State

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.partition("### Every misfortune")[2].partition("## Limits")[0].splitlines()
    if line.startswith("|") and not line.startswith(("| misfortune", "|---"))
]
ADDRESSES = {"webhook_url", "delivery"}
"""Settings that are no misfortune."""


def test_every_switch_has_its_row() -> None:
    switches = " ".join(row[1] for row in ROWS)
    for name in [*CATALOGUE, *Delivery.model_fields, *(set(SETTINGS) - ADDRESSES)]:
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


def test_fields_jobs_tables_and_states_are_documented() -> None:
    names = [*WhatsAppConnection.model_fields, *(job.name for job in flowzz_jobs()), *metadata.tables, *State]
    names += [name.upper() for name in WhatsAppSettings.model_fields]
    for name in names:
        assert f"`{name}`" in README, name

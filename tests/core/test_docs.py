"""Generated parts of the documentation are fresh, and every script, key and field is told of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowzz.queues.events import NAMES
from support.generated import DOCS, GENERATED, renewed


@pytest.mark.parametrize("file", sorted({file for file, _ in GENERATED}))
def test_generated_parts_are_fresh(file: str) -> None:
    text = (DOCS / file).read_text(encoding="utf-8")
    assert text == renewed(file, text), "run: make docs"


def test_every_script_is_in_the_table_of_the_architecture() -> None:
    table = (DOCS / "architecture.md").read_text(encoding="utf-8")
    scripts = Path(DOCS.parent / "core/flowzz/queues/scripts").glob("*.lua")
    assert [script.stem for script in scripts if f"| `{script.stem}` |" not in table] == []


def test_every_event_of_the_scripts_is_told_of() -> None:
    scripts = Path(DOCS.parent / "core/flowzz/queues/scripts").rglob("*.lua")
    written = {name for script in scripts for name in re.findall(r"(?:note|write)\('(\w+)'", script.read_text("utf-8"))}
    kinds = {"completed", "retrying", "failed", "postponed", "released", "parked", "canceled"}
    assert written | kinds | {"tick", "schedule_run"} == set(NAMES)

"""docs/rq-contract.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "rq-contract.md"


def test_every_test_that_the_page_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in HERE.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", PAGE.read_text())
    pages_of_rq = ["worker", "dependencies", "commands", "retry", "registry", "cli", "scheduler", "queue", "results"]
    modules = {path.stem for path in HERE.glob("test_*.py")} | {f"test_{page}" for page in pages_of_rq}
    missing = [name for name in named if name not in modules and f"def {name}(" not in tests]
    assert missing == []

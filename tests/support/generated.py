"""Parts of the documentation that are generated, and how they are renewed: ``make docs``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from flowzz.queues import events, keys

DOCS = Path(__file__).parents[2] / "docs"

GENERATED: dict[tuple[str, str], Callable[[], str]] = {
    ("engine.md", "events"): events.markdown_table,
    ("engine.md", "keys"): keys.markdown_table,
}
"""(file, name of the part) → what stands between ``<!-- name -->`` and ``<!-- /name -->``."""


def renewed(file: str, text: str) -> str:
    """``text`` of a documentation file with its generated parts as they should be."""
    for (of, name), make in GENERATED.items():
        if of == file:
            part = f"<!-- {name} -->\n{make()}\n<!-- /{name} -->"
            pattern = rf"<!-- {name} -->\n.*?<!-- /{name} -->"
            text, found = re.subn(pattern, part.replace("\\", r"\\"), text, flags=re.DOTALL)
            if found != 1:
                raise LookupError(f"{file}: expected one part <!-- {name} -->, found {found}")
    return text


if __name__ == "__main__":
    for file in sorted({file for file, _ in GENERATED}):
        path = DOCS / file
        path.write_text(renewed(file, path.read_text(encoding="utf-8")), encoding="utf-8")

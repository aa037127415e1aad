"""What compiled catalogues of translations say; their bytes also tell which release of Babel wrote them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo, write_mo


def compiled_texts(file: Path) -> dict[str, Any]:
    """Each text of a ``.mo`` with its translation, and the rule of its plural forms."""
    with file.open("rb") as opened:
        return _texts(opened)


def texts_once_compiled(catalog: Catalog) -> dict[str, Any]:
    """The same of ``catalog``, compiled now."""
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return _texts(compiled)


def _texts(file: IO[bytes]) -> dict[str, Any]:
    read = read_mo(file)
    said: dict[str, Any] = {str(message.id): message.string for message in read if message.id}
    return {**said, "plural forms": read.plural_forms}

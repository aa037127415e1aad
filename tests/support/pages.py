"""What a PDF says, read by poppler."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def text_of(path: Path) -> str:
    """The text of all pages as it is laid out, each space a plain one.

    Skips the test when there is no pdftotext; fails it in CI.
    """
    if shutil.which("pdftotext") is None:
        reason = "no pdftotext: install the package poppler-utils, or run make machine"
        if os.environ.get("CI"):
            raise RuntimeError(reason)
        pytest.skip(reason)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True)
    return done.stdout.decode().replace("\u00a0", " ")

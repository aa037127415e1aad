"""A real Chromium for tests: found, or installed where that is possible; in CI its absence is a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Where Chromium is, or None."""
    if Path("/usr/bin/chromium").exists():
        return "/usr/bin/chromium"
    return next((path for path in map(shutil.which, NAMES) if path), None)


def install() -> str | None:
    """Chromium from Debian's packages, when we may install them."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return None
    return find()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test when there is no Chromium; fails it in CI."""
    path = find() or install()
    if path is None:
        reason = "no Chromium: install the package chromium"
        if os.environ.get("CI"):
            raise RuntimeError(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()

"""Installs the peers, each by itself, below ``benchmarks/.peers``: a virtual environment or a ``node_modules`` each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE / ".peers"
WITHIN_S = 300


class NotInstalled(Exception):
    """A peer cannot be installed here; the text says why."""


def install(name: str, *, python: tuple[str, ...] = (), node: tuple[str, ...] = ()) -> Path:
    """The folder of the peer ``name`` with these packages in it; nothing is done when they are there already."""
    folder = PEERS / name
    marker = folder / "installed.json"
    wanted = json.dumps([*python, *node])
    if marker.exists() and marker.read_text() == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    print(f"installing {name}: {', '.join([*python, *node])}", flush=True)
    if python:
        _run(sys.executable, "-m", "venv", str(folder / "venv"))
        _run(str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", *python)
    if node:
        if not shutil.which("npm"):
            raise NotInstalled("there is no npm here")
        (folder / "package.json").write_text('{"private": true}\n')
        _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *node)
    marker.write_text(wanted)
    return folder


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise NotInstalled(f"{Path(command[0]).name} exited with {done.returncode}: {words[-1][:200]}")

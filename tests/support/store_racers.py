"""What processes run that open one home or database at the same moment; each starts from scratch (spawn)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowzz.settings import Settings
from flowzz.store import Store
from flowzz.store.keys import load_keys

PATIENCE_S = 60


@dataclass(frozen=True)
class Folder:
    """A plugin's migrations, as the store wants to see them."""

    plugin: str
    folder: Path


def race(entrant: Callable[..., Any], *arguments: object, processes: int) -> list[Any]:
    """What ``entrant(*arguments)`` returned in each of several processes that were let go together."""
    spawn = multiprocessing.get_context("spawn")
    start, answers = spawn.Barrier(processes), spawn.Queue()
    running = [spawn.Process(target=_run, args=(entrant, arguments, start, answers)) for _ in range(processes)]
    for process in running:
        process.start()
    told = [answers.get(timeout=PATIENCE_S) for _ in running]
    for process in running:
        process.join(PATIENCE_S)
    failed = [answer for answer in told if isinstance(answer, BaseException)]
    if failed:
        raise failed[0]
    return told


def _run(entrant: Callable[..., Any], arguments: tuple[object, ...], start: Any, answers: Any) -> None:
    start.wait(PATIENCE_S)
    try:
        answers.put(entrant(*arguments))
    except Exception as error:  # noqa: BLE001 - told to the test, which raises it
        answers.put(RuntimeError(repr(error)))


def keys_of(home: Path) -> tuple[str, str]:
    keys = load_keys(Settings.load(home=home))
    return keys.signing_key.get_secret_value(), (home / "keys" / "encryption.keys").read_text()


def migrate(settings: Settings, folder: Folder) -> list[str]:
    store = Store.open(settings)
    ran = store.migrate([folder])
    store.close()
    return ran


def write_companies(home: Path, number: int) -> int:
    store = Store.open(Settings.load(home=home))
    store.migrate()
    for one in range(number):
        store.add_company(f"Loja {one}")
    store.close()
    return number

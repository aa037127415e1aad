"""docs/behaviours.md names tests, commands, routes, names and chapters that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import click
import pytest

import flowzz
from flowzz.app import Flowzz
from flowzz.cli import main
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.options import EnqueueOptions
from flowzz.plugins.hookspecs import HookSpecs
from flowzz.queues.engine import Queues
from flowzz.settings import Settings
from support.generated import DOCS

COLUMNS = ("behaviour", "Python", "CLI", "HTTP", "test")


def rows() -> list[dict[str, str]]:
    lines = (DOCS / "behaviours.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells if row[0] != COLUMNS[0]]


ROWS = rows()


def words(row: dict[str, str], column: str) -> list[str]:
    return re.findall(r"`([^`]+)`", row[column])


@cache
def functions_of(file: Path) -> set[str]:
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def command(name: str) -> click.Command:
    found: click.Command = main
    context = click.Context(main)
    for word in name.split()[1:]:
        if word.startswith("--"):
            assert any(word in option.opts for option in found.params), f"{name}: no option {word}"
        else:
            assert isinstance(found, click.Group), f"{name}: {word} is no command"
            inner = found.get_command(context, word)
            assert inner is not None, f"{name}: no command {word}"
            found = inner
    return found


def python_name_exists(name: str) -> bool:
    plain, arguments = name.partition("(")[0].lstrip("@"), re.findall(r"(\w+)=", name)
    owner, _, rest = plain.partition(".")
    match owner:
        case "app" if rest.startswith("queues."):
            return hasattr(Queues, rest.removeprefix("queues."))
        case "app":
            return hasattr(Flowzz, rest)
        case "ctx":
            return hasattr(JobContext, rest)
        case "Settings":
            return rest in Settings.model_fields
        case "job":
            return set(arguments) <= set(job.__annotations__)
        case "EnqueueOptions":
            return set(arguments) <= set(EnqueueOptions.__annotations__)
    return owner in flowzz.__all__ or hasattr(HookSpecs, owner) or owner in ("async def", "empresa_id")


@pytest.mark.parametrize("row", ROWS, ids=[row["behaviour"][:40] for row in ROWS])
def test_what_a_row_names_exists(row: dict[str, str]) -> None:
    tests = words(row, "test")
    assert tests, "no test"
    for name in tests:
        file, _, rest = name.partition("::")
        assert rest in functions_of(DOCS.parent / "tests" / file), f"no test {name}"
    for name in words(row, "CLI"):
        assert name.startswith("flowzz ")
        command(name)
    routes = (DOCS / "api.md").read_text("utf-8")
    for route in words(row, "HTTP"):
        method, _, path = route.partition(" ")
        assert re.search(rf"`{method} [^|]*{re.escape(path)}", routes) or f"`{path}" in routes, f"api.md has no {route}"
    for name in words(row, "Python"):
        assert python_name_exists(name), f"no {name}"
    for file, anchor in re.findall(r"\]\(([\w.-]+)#([\w-]+)\)", row["behaviour"]):
        chapters = re.findall(r"^#+ (.+)$", (DOCS / file).read_text("utf-8"), re.M)
        assert anchor in {chapter.lower().replace(" ", "-") for chapter in chapters}, f"{file} has no chapter {anchor}"


def test_every_row_says_how_to_use_it() -> None:
    assert [row["behaviour"] for row in ROWS if not row["Python"] + row["CLI"] + row["HTTP"]] == []
    assert len(ROWS) > 50

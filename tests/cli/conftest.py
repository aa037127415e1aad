"""The command line, called in this process or as a process of its own, in a home with the shop plugin."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from flowzz import logs
from flowzz.cli import main
from support.shop import OF_THIS_HOUSE, install


@dataclass
class Cli:
    """Calls commands in this process."""

    runner: CliRunner
    env: dict[str, str]

    def __call__(self, *words: str, input: str | None = None) -> Result:  # noqa: A002 - click's name
        return self.runner.invoke(main, words, input=input, env=self.env)

    def ok(self, *words: str, input: str | None = None) -> str:  # noqa: A002
        """What it printed; fails unless it exits 0."""
        result = self(*words, input=input)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))


@pytest.fixture
def cli(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """No Redis is configured, no user exists, nothing is migrated."""
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    for name in ("REDIS_URL", "REDIS_HOST", "DATABASE_URL", "PORT", "FLOWZZ_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    level, raising = root.level, logging.raiseExceptions
    yield Cli(CliRunner(), {"FLOWZZ_HOME": str(home), "FLOWZZ_DISABLED_PLUGINS": OF_THIS_HOUSE})
    logs.close()
    structlog.reset_defaults()
    root.setLevel(level)
    logging.raiseExceptions = raising


@pytest.fixture
def migrated(cli: Cli) -> Cli:
    cli.ok("migrate")
    return cli


@pytest.fixture
def connected(migrated: Cli, redis_url: str) -> Cli:
    """With a database and a Redis."""
    migrated.env["REDIS_URL"] = redis_url
    return migrated

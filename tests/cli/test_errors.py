"""However it goes wrong: one clear line, the right exit code, no traceback unless asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowzz.cli.group import COMMANDS
from flowzz.errors import QueueUnavailable
from support.shop import OF_THIS_HOUSE, install

from .conftest import Cli


def error(cli: Cli, *words: str) -> str:
    """What a failing command says on stderr, checked to be one line and no traceback."""
    result = cli(*words)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def test_without_any_redis_it_says_what_to_start(cli: Cli, home: Path) -> None:
    for words in (("queues",), ("jobs", "list"), ("enqueue", "shop.pack"), ("worker",), ("scheduler",), ("web",)):
        assert error(cli, *words) == (
            f"Error: no Redis is configured, and no bundled one runs for {home.resolve()}; "
            "start it with `flowzz up`, or set REDIS_URL"
        )


def test_a_dead_redis_is_named_as_such(migrated: Cli) -> None:
    migrated.env["REDIS_URL"] = "redis://127.0.0.1:1/0"
    assert "Redis" in error(migrated, "queues")


def test_a_database_without_tables_says_migrate(cli: Cli) -> None:
    assert error(cli, "users", "list").endswith("run `flowzz migrate`")


def test_a_wrong_setting_names_the_variable(cli: Cli) -> None:
    cli.env["FLOWZZ_LEASE"] = "soon"
    assert "FLOWZZ_LEASE" in error(cli, "queues")
    assert cli("--help").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("jobs", "list", "--state", "asleep"),
        ("enqueue", "shop.pack", "--data", "{no json"),
        ("enqueue", "shop.pack", "--data", "[1]"),
        ("enqueue", "shop.pack", "--delay", "soon"),
        ("up", "--port", "99999"),
    ],
)
def test_wrong_usage_exits_2(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*words).exit_code == 2


def test_debug_shows_the_traceback(cli: Cli) -> None:
    cli.env["FLOWZZ_DEBUG"] = "1"
    assert isinstance(cli("queues").exception, QueueUnavailable)


def test_the_unexpected_is_one_line_too(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flowzz_odd.py").write_text(
        "import click\n"
        "from flowzz.plugins.contributions import Plugin\n"
        "from flowzz.plugins.hookspecs import hookimpl\n"
        "@click.command('odd')\n"
        "def odd():\n    raise KeyError('gone')\n"
        "class Hooks:\n"
        "    @hookimpl\n"
        "    def flowzz_commands(self):\n        return [odd]\n"
        "plugin = Plugin(name='odd', title='Odd', api='>=1,<2', hooks=Hooks())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(install(tmp_path / "odd", entry="flowzz_odd:plugin", name="odd"))
    said = error(cli, "odd")
    assert said == "Error: unexpected KeyError: 'gone'; run it again with FLOWZZ_DEBUG=1 for the traceback"


def test_what_stopped_a_worker_is_in_the_log_files(cli: Cli, home: Path) -> None:
    error(cli, "worker")
    assert "no Redis is configured" in (home / "logs" / "error.log").read_text()


def test_help_and_plugins_and_health_answer_with_every_plugin_broken(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "broken", entry="there_is_no_such_module:plugin", name="broken"))
    cli.env["FLOWZZ_DISABLED_PLUGINS"] = f"{OF_THIS_HOUSE},shop"
    assert cli("--help").exit_code == 0
    states = {plugin["name"]: plugin["state"] for plugin in cli.json("plugins", "list")}
    assert states["broken"] == "import-error"
    assert "there_is_no_such_module" in cli.ok("plugins", "show", "broken")
    result = cli("health", "--json")
    assert result.exit_code == 1
    assert '"status": "unhealthy"' in result.stdout


def test_commands_of_plugins_stand_beside_ours(cli: Cli) -> None:
    assert "Greet from the shop" in cli.ok("--help")
    assert cli.ok("shop") == "the shop is open\n"


def test_every_command_has_a_help_page(cli: Cli) -> None:
    pages = cli.ok("--help").partition("Commands:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in pages.splitlines() if line.startswith("  ") and line[2] != " "]
    assert names == list(COMMANDS)
    for name in names:
        assert "Usage:" in cli.ok(name, "--help"), name

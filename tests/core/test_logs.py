"""Logs: whole lines, no secrets, and nothing that can stop a worker."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, SecretStr

from flowzz import logs
from flowzz.logs.files import LogFile
from flowzz.logs.redaction import STARS
from flowzz.settings import Settings


@pytest.fixture
def quiet(home: Path) -> Iterator[Settings]:
    """Logging configured without a console, and undone afterwards."""
    root = logging.getLogger()
    level, raising = root.level, logging.raiseExceptions
    settings = Settings.load(home=home)
    logs.configure(settings, "worker", console=False)
    yield settings
    logs.close()
    structlog.reset_defaults()
    root.setLevel(level)
    logging.raiseExceptions = raising


def lines(settings: Settings, name: str = "combined.log") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (settings.data_folder / "logs" / name).read_text().splitlines()]


def test_every_line_says_when_how_bad_what_and_who(quiet: Settings) -> None:
    structlog.get_logger("flowzz.test").warning("low on paper", sheets=3)
    (line,) = lines(quiet)
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert line == {
        "level": "warning",
        "event": "low on paper",
        "logger": "flowzz.test",
        "role": "worker",
        "pid": os.getpid(),
        "sheets": 3,
    }


def test_other_libraries_come_the_same_way(quiet: Settings) -> None:
    logging.getLogger("somebody").info("%d of %d", 1, 2)
    (line,) = lines(quiet)
    assert (line["event"], line["logger"], line["level"]) == ("1 of 2", "somebody", "info")


def test_errors_are_in_both_files_and_nothing_else_is(quiet: Settings) -> None:
    logger = structlog.get_logger("flowzz.test")
    logger.info("fine")
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("not fine")
    (error,) = lines(quiet, "error.log")
    assert error["event"] == "not fine"
    assert error["exception"].endswith("ValueError: broken")
    assert [line["event"] for line in lines(quiet)] == ["fine", "not fine"]


def test_below_the_level_nothing_is_written(quiet: Settings) -> None:
    structlog.get_logger("flowzz.test").debug("chatter")
    logs.write_batch([{"event": "more chatter", "level": "debug"}])
    assert not (quiet.data_folder / "logs" / "combined.log").exists()


def test_files_are_private(quiet: Settings) -> None:
    structlog.get_logger("flowzz.test").error("x")
    folder = quiet.data_folder / "logs"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder)] == [0o700, 0o700]
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


class Login(BaseModel):
    user: str
    password: str


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"password": "hunter22"}, STARS),
        ({"access_token": "EAAB"}, STARS),
        ({"api_key": None}, None),
        ({"headers": {"Authorization": "Bearer x", "Accept": "*/*"}}, {"Authorization": STARS, "Accept": "*/*"}),
        ({"logins": [Login(user="ana", password="x")]}, [{"user": "ana", "password": STARS}]),
        ({"value": SecretStr("typed")}, STARS),
    ],
)
def test_secrets_by_name_or_type_are_starred_out(quiet: Settings, given: dict[str, Any], kept: object) -> None:
    structlog.get_logger("flowzz.test").info("x", **given)
    logs.write_batch([{"event": "x", **given}])
    single, batched = lines(quiet)
    (name,) = given
    assert single[name] == kept
    assert batched[name] == kept


def test_known_values_tokens_and_passwords_in_urls_are_starred_out(quiet: Settings) -> None:
    logs.register_secret('wide"open')
    logger = structlog.get_logger("flowzz.test")
    logger.info('got wide"open', url="https://h.example/webhooks/coinzz/c1.s3cret?x=1", redis="redis://:pw12345@h:1/0")
    (line,) = lines(quiet)
    assert line["event"] == f"got {STARS}"
    assert line["url"] == f"https://h.example/webhooks/coinzz/{STARS}?x=1"
    assert line["redis"] == f"redis://:{STARS}@h:1/0"


def test_the_secrets_of_the_settings_are_known(home: Path, quiet: Settings) -> None:
    logs.configure(Settings.load(home=home, redis_url="redis://:s%40lty-pw@localhost:1/0"), "web", console=False)
    structlog.get_logger("x").info("refused s@lty-pw")
    assert lines(quiet)[-1]["event"] == f"refused {STARS}"


def test_a_batch_is_one_write_with_the_level_and_time_of_each_line(
    quiet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []
    real = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    moment = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC)
    logs.write_batch(
        [
            {"event": "job started", "job_id": "a"},
            {"event": "job failed", "job_id": "a", "level": "error", "timestamp": moment},
            {"event": "odd \udcff text", "timestamp": moment.timestamp(), "value": float("nan")},
        ]
    )
    assert len(writes) == 2
    started, failed, odd = lines(quiet)
    assert started["logger"] == "flowzz.jobs"
    assert failed["timestamp"] == odd["timestamp"] == "2026-11-24T01:02:03.456789Z"
    assert lines(quiet, "error.log") == [failed]


WRITER = """
import sys
from pathlib import Path
from flowzz.logs.files import LogFile
file = LogFile(Path(sys.argv[1]), rotate_at_bytes=20_000, kept=200)
for number in range(400):
    file.write(f"{sys.argv[2]} {number} {'x' * 50}\\n".encode() * 3)
"""


def test_processes_share_a_rotating_file_without_losing_or_tearing_a_line(tmp_path: Path) -> None:
    path = tmp_path / "shared.log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = list(tmp_path.iterdir())
    assert len(files) > 5
    written = [line for file in files for line in file.read_text().splitlines()]
    assert len(written) == 3 * 400 * 3
    assert {line.split()[2] for line in written} == {"x" * 50}
    assert len(set(written)) == 3 * 400


def test_only_so_many_rotated_files_are_kept(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x.log", rotate_at_bytes=100, kept=2)
    for _ in range(20):
        file.write(b"y" * 99 + b"\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]


def test_a_deleted_file_is_made_again(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x.log")
    file.write(b"one\n")
    file.path.unlink()
    file.write(b"two\n")
    assert file.path.read_bytes() == b"two\n"


def test_a_full_disk_stops_nobody_and_is_said_once(quiet: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    logs.close()
    folder = quiet.data_folder / "logs"
    folder.mkdir(parents=True)
    (folder / "combined.log").symlink_to("/dev/full")
    logs.configure(quiet, "worker")
    for number in range(3):
        structlog.get_logger("flowzz.test").info("line", number=number)
        logs.write_batch([{"event": "batch"}])
    shown = capfd.readouterr().err
    assert shown.count("cannot be written: [Errno 28] No space left on device") == 1
    assert shown.count("batch") == 3


def test_a_closed_console_changes_neither_the_files_nor_the_exit_code(home: Path) -> None:
    program = textwrap.dedent("""
        import os, sys, structlog
        from flowzz import logs
        from flowzz.settings import Settings
        logs.configure(Settings.load(home=sys.argv[1]), "worker")
        for number in range(3):
            structlog.get_logger("x").error("still here", number=number)
    """)
    for how in ("pipe without a reader", "closed descriptor"):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-c", program, str(home)]
        if how == "closed descriptor":
            command = ["sh", "-c", 'exec "$@" 2>&- >&-', "sh", *command]
        done = subprocess.run(command, stderr=writer, stdout=writer, timeout=60, check=False)
        os.close(writer)
        assert done.returncode == 0, how
    assert len(lines(Settings.load(home=home), "error.log")) == 6


def test_the_console_is_plain_when_it_is_no_terminal(
    home: Path, quiet: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure(quiet, "web")
    structlog.get_logger("flowzz.test").info("ready", url="http://x", note="two words")
    shown = capfd.readouterr().err
    assert "\x1b" not in shown
    assert shown.endswith(f"INFO     web[{os.getpid()}] flowzz.test  ready  url=http://x note='two words'\n")


def test_control_codes_from_elsewhere_do_not_reach_the_terminal(
    quiet: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure(quiet, "web")
    logging.getLogger("x").info("name \x1b[2J\nforged line", extra={})
    shown = capfd.readouterr().err
    assert "\x1b" not in shown
    assert shown.count("\n") == 1


def test_rows_look_like_ordinary_lines(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    level, raising = root.level, logging.raiseExceptions
    settings = Settings.load(home=home)
    form = logs.Form(("job", "took_s"), event="done at 100%", level="info", worker="w 1")
    rows: list[tuple[str | float, ...]] = [("a.b", 0.25), ("", 3), ("two words\n", 1e-7), ("é\x1b[0m %s", 12.0)]
    logs.configure(settings, "worker", console=True)
    try:
        logs.write_rows(form, rows)
        logs.write_batch([form.line(row) for row in rows])
    finally:
        logs.close()
        structlog.reset_defaults()
        root.setLevel(level)
        logging.raiseExceptions = raising
    for shown in (capfd.readouterr().err, (settings.data_folder / "logs" / "combined.log").read_text()):
        told = [re.sub(r"\d{4}-\S+Z", "…", line) for line in shown.splitlines()]
        assert len(told) == 2 * len(rows)
        if shown.startswith("{"):
            assert [json.loads(line) for line in told[: len(rows)]] == [json.loads(line) for line in told[len(rows) :]]
        else:
            assert told[: len(rows)] == told[len(rows) :]

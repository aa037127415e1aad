"""Structured logs: people read the console, machines read JSON lines.

- ``<home>/logs/combined.log`` holds every line, ``<home>/logs/error.log`` those of level error and up; both are
  private to the user and rotate by size.
- Every line says ``timestamp`` (UTC, ISO 8601), ``level``, ``event``, ``logger``, ``role`` and ``pid``; the rest is
  what the caller gave.
- Secrets never arrive: values under telling names, values made known by ``register_secret``, passwords inside URLs and
  webhook tokens are starred out.
- Nothing here raises. A worker goes on working with a full disk, a missing folder or a closed terminal.

``structlog.get_logger(__name__)`` is for single lines. What happens for every job goes through ``write_batch``, which
costs one ``write`` a file however many lines there are.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import structlog
from pydantic import SecretStr

from flowzz import clock
from flowzz.logs.files import LogFile, Terminal
from flowzz.logs.lines import Form, as_line, complete, for_people, iso, serialise
from flowzz.logs.redaction import begin_run, masked, note_secrets, register_secret, register_url, without_secrets
from flowzz.settings import Settings

__all__ = [
    "Form",
    "begin_run",
    "close",
    "configure",
    "mute",
    "note_secrets",
    "register_secret",
    "without_secrets",
    "write_batch",
    "write_rows",
]

_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_QUIET_LIBRARIES = ("alembic", "apscheduler", "asyncio", "httpcore", "httpx", "rq", "sqlalchemy", "urllib3", "werkzeug")


class Sink:
    """Where lines go in this process: two files and, when asked for, the console."""

    def __init__(self, folder: Path, role: str, level: int, terminal: Terminal | None) -> None:
        self.role = role
        self.level = level
        self.terminal = terminal
        self.combined = LogFile(folder / "combined.log")
        self.errors = LogFile(folder / "error.log")
        self._complained = False

    def write(self, lines: Iterable[Mapping[str, Any]], *, console: bool = True) -> None:
        """Every line that is of this level or above, in one write a file."""
        terminal = self.terminal if console else None
        stamp, pid = iso(clock.now()), os.getpid()
        everything: list[bytes] = []
        errors: list[bytes] = []
        shown: list[bytes] = []
        for line in lines:
            number = _LEVELS.get(line.get("level", "info"), logging.INFO)
            if number < self.level:
                continue
            record = complete(line, stamp, self.role, pid)
            data = serialise(record)
            everything.append(data)
            if number >= logging.ERROR:
                errors.append(data)
            if terminal is not None:
                shown.append(for_people(record, colour=terminal.colour))
        self._send(everything, errors, shown)

    def write_rows(self, form: Form, rows: Sequence[Sequence[str | int | float]]) -> None:
        """As ``write``, for lines of one form."""
        if _LEVELS[form.level] >= logging.ERROR:
            self.write([form.line(row) for row in rows])
        elif _LEVELS[form.level] >= self.level:
            stamp, pid = iso(clock.now()), os.getpid()
            self.combined.write(form.write(rows, stamp, self.role, pid) + b"\n")
            if self.terminal is not None:
                self.terminal.write(form.show(rows, stamp, self.role, pid, colour=self.terminal.colour) + b"\n")
                self._complain_once(self.terminal)

    def _send(self, everything: list[bytes], errors: list[bytes], shown: list[bytes]) -> None:
        if everything:
            self.combined.write(masked(b"\n".join(everything) + b"\n"))
        if errors:
            self.errors.write(masked(b"\n".join(errors) + b"\n"))
        if shown and self.terminal is not None:
            self.terminal.write(masked(b"\n".join(shown) + b"\n"))
            self._complain_once(self.terminal)

    def _complain_once(self, terminal: Terminal) -> None:
        trouble = self.combined.trouble
        if trouble is not None and not self._complained:
            terminal.write(f"the log file {self.combined.path} cannot be written: {trouble}\n".encode())
        self._complained = trouble is not None

    def close(self) -> None:
        self.combined.close()
        self.errors.close()

    def after_fork(self) -> None:
        self.combined.after_fork()
        self.errors.after_fork()


class _StdlibHandler(logging.Handler):
    """Takes every record of the logging module, ours and other libraries', to the sink."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.sink.write([as_line(record)])
        except Exception:  # noqa: BLE001 - a line that cannot be logged must not stop the work it tells of
            self.handleError(record)


_sink: Sink | None = None
_handler: _StdlibHandler | None = None


def configure(settings: Settings, role: str, console: bool = True) -> None:
    """Send the lines of this process to the files under ``settings.home`` and, with ``console``, to stderr.

    ``role`` says what the process is: ``worker``, ``web``, ``scheduler``, ``up`` … Calling it again replaces what was
    configured before. Never raises; a folder that cannot be written is reported once on the console.
    """
    global _sink, _handler
    close()
    level = _LEVELS[settings.log_level.lower()]
    stderr: TextIO | None = sys.stderr  # None when the process was started with it closed
    terminal = Terminal(stderr) if console and stderr is not None else None
    _sink = Sink(settings.data_folder / "logs", role, level, terminal)
    _handler = _StdlibHandler(_sink)
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.addHandler(_handler)
    root.setLevel(level)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)
    _register_settings(settings)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _to_stdlib,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def mute() -> None:
    """Let nothing reach the terminal before ``configure``: structlog's own default prints to stdout."""
    structlog.configure(processors=[_drop])


def close() -> None:
    """Close the files and detach from the logging module; lines after this are not stored."""
    global _sink, _handler
    if _handler is not None:
        logging.getLogger().removeHandler(_handler)
        logging.captureWarnings(False)
    if _sink is not None:
        _sink.close()
    _sink = _handler = None


def write_batch(lines: Sequence[Mapping[str, Any]], *, console: bool = True) -> None:
    """Log many lines at the price of one ``write`` a file; does nothing before ``configure``.

    A line is a mapping with ``event`` and whatever else it tells. Optional: ``level`` (default ``info``), ``logger``
    (default ``flowzz.jobs``) and ``timestamp`` (an aware datetime, or seconds since the epoch; default now). Without
    ``console`` they go to the files only.
    """
    if _sink is not None and lines:
        _sink.write(lines, console=console)


def write_rows(form: Form, rows: Sequence[Sequence[str | int | float]]) -> None:
    """As ``write_batch``, for lines of one form: a fraction of its price."""
    if _sink is not None and rows:
        _sink.write_rows(form, rows)


def _register_settings(settings: Settings) -> None:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if not isinstance(value, SecretStr):
            continue
        text = value.get_secret_value()
        if "://" in text:
            register_url(value)
        else:
            for part in text.split(","):
                register_secret(part.strip())


def _drop(_logger: Any, _method: str, _event: Any) -> str:
    raise structlog.DropEvent


def _to_stdlib(_logger: Any, _method: str, event: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (dict(event),), {}


def _after_fork_in_child() -> None:
    if _sink is not None:
        _sink.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""Where lines end up: files that many processes share, and the console. Neither ever raises."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

ROTATE_AT_BYTES = 20 * 1024 * 1024
KEPT_FILES = 5


class LogFile:
    """Whole lines appended to one file by many processes and threads; rotated by whoever finds it full.

    ``write`` is one ``write(2)`` on a descriptor opened with O_APPEND, so lines of different processes never mix.
    It never raises: what a full disk refuses is lost, and the next line starts on a line of its own.
    """

    def __init__(self, path: Path, *, rotate_at_bytes: int = ROTATE_AT_BYTES, kept: int = KEPT_FILES) -> None:
        self.path = path
        self._limit = rotate_at_bytes
        self._kept = kept
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._torn = False
        self.trouble: OSError | None = None

    def write(self, data: bytes) -> None:
        """Append ``data``, which ends with a newline. ``trouble`` holds the error when it could not be."""
        with self._lock:
            try:
                descriptor = self._ready()
                written = os.write(descriptor, b"\n" + data if self._torn else data)
            except OSError as error:
                self.trouble = error
                return
            self._torn = written < len(data)
            self.trouble = None

    def close(self) -> None:
        with self._lock:
            self._close()

    def after_fork(self) -> None:
        """A child may have been forked while another thread of its parent held the lock."""
        self._lock = threading.Lock()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _ready(self) -> int:
        if self._descriptor is None:
            self._descriptor = self._open()
        status = os.fstat(self._descriptor)
        if status.st_size >= self._limit or status.st_nlink == 0:
            with suppress(OSError):
                self._rotate(status.st_ino)
        return self._descriptor

    def _open(self) -> int:
        for folder in (self.path.parent.parent, self.path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _rotate(self, inode: int) -> None:
        """Rename ``x.log`` to ``x.log.1`` and so on, unless another process has done so by now; open the new one."""
        with _locked(self.path.parent):
            if self.path.exists() and self.path.stat().st_ino == inode:
                for number in range(self._kept - 1, 0, -1):
                    older = self._numbered(number)
                    if older.exists():
                        older.rename(self._numbered(number + 1))
                self.path.rename(self._numbered(1))
            fresh = self._open()
        self._close()
        self._descriptor = fresh

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


class Terminal:
    """The console: written to without a buffer, so that a closed one costs neither an error nor the exit code."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        try:
            self._descriptor: int | None = stream.fileno()
        except (OSError, ValueError):
            self._descriptor = None
        self.colour = self._descriptor is not None and os.isatty(self._descriptor) and "NO_COLOR" not in os.environ

    def write(self, data: bytes) -> None:
        with suppress(OSError, ValueError):
            if self._descriptor is None:
                self._stream.write(data.decode(errors="replace"))
                return
            while data:
                data = data[os.write(self._descriptor, data) :]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process at a time rotates the files of a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""Where files are kept: a folder of any filesystem that fsspec knows.

A file appears whole or not at all: it is uploaded under ``.partial/`` and moved when it is complete. Whatever a killed
process left there is swept (``sweep.py``).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import fsspec

from flowzz.errors import ConfigurationError
from flowzz.settings import Settings
from flowzz_report.configuration import ReportSettings

PARTIAL = ".partial"
NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f\-]{36}-[0-9a-f]{8}\.(pdf|xlsx|csv)\Z")
"""What names look like: only such a name is ever opened, moved to or removed."""

FOLDER_MODE, FILE_MODE = 0o700, 0o600


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is there; ``changed_at`` is None where the filesystem does not tell."""

    name: str
    changed_at: datetime | None


class Storage:
    """``scratch`` is a folder of this machine where files are made."""

    def __init__(self, url: str, options: dict[str, Any], scratch: Path) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, **options)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(
                f"FLOWZZ_REPORT_STORAGE: {url.partition('?')[0]!r} cannot be used: {error}"
            ) from None
        self._root = self._root.rstrip("/")
        self._is_local = "file" in ([self._fs.protocol] if isinstance(self._fs.protocol, str) else self._fs.protocol)
        self.scratch = scratch

    @classmethod
    def of(cls, settings: Settings, reports: ReportSettings) -> Storage:
        """The storage of an installation; makes its folders. Raises ConfigurationError."""
        folder = settings.data_folder / "reports"
        scratch = settings.data_folder / "reports-scratch"
        return cls(reports.storage or folder.as_uri(), reports.options, scratch)

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """A fresh folder to make a file in; gone afterwards, and swept later when its process was killed."""
        self.scratch.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def publish(self, made: Path, name: str) -> None:
        """Put the file ``made`` there as ``name``, whole. On any failure nothing of it stays."""
        target, partial = self._path(name), f"{self._root}/{PARTIAL}/{name.replace('/', '-')}"
        try:
            for place in (partial, target):
                self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(made), partial)
            if self._is_local:
                _settle(Path(partial), Path(target))
            else:
                self._fs.mv(partial, target)
        except BaseException:
            # Also when the job is canceled in the middle: SIGTERM raises here.
            with suppress(Exception):
                self._remove(partial)
            with suppress(Exception):
                self._remove(target)
            raise

    def open(self, name: str) -> IO[bytes]:
        """The file's bytes; FileNotFoundError when it is not there."""
        file: IO[bytes] = self._fs.open(self._path(name), "rb")
        return file

    def remove(self, name: str) -> None:
        """Remove it; nothing happens when it is not there."""
        self._remove(self._path(name))

    def names(self) -> Iterator[Stored]:
        """Every report's file."""
        yield from (Stored(name, at) for name, at in self._walk() if NAME.match(name))

    def remove_leftovers(self, before: datetime) -> int:
        """Remove what processes that ended before that moment left half done, here and in scratch; how many."""
        count = 0
        for name, at in self._walk():
            if name.startswith(f"{PARTIAL}/") and at is not None and at < before:
                self._remove(f"{self._root}/{name}")
                count += 1
        return count + _sweep(self.scratch, before)

    def _walk(self) -> Iterator[tuple[str, datetime | None]]:
        self._fs.invalidate_cache()
        if not self._fs.exists(self._root):
            return
        for path, info in self._fs.find(self._root, detail=True).items():
            yield path.removeprefix(self._root).lstrip("/"), _changed_at(info)

    def _path(self, name: str) -> str:
        if not NAME.match(name):
            raise ValueError(f"expected the name of a report's file, got {name!r:.100}")
        return f"{self._root}/{name}"

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(path)


def _settle(partial: Path, target: Path) -> None:
    """Private, on the disk, and then under its name in one step."""
    partial.chmod(FILE_MODE)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def _changed_at(info: dict[str, Any]) -> datetime | None:
    at = info.get("mtime") or info.get("LastModified") or info.get("last_modified") or info.get("created")
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC)
    if isinstance(at, datetime):
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return None


def _sweep(scratch: Path, before: datetime) -> int:
    count = 0
    if not scratch.is_dir():
        return count
    for folder in sorted(scratch.iterdir()):
        files = [*folder.rglob("*"), folder]
        newest = max(datetime.fromtimestamp(file.lstat().st_mtime, UTC) for file in files)
        if folder.is_dir() and newest < before:
            for file in sorted(files, reverse=True):
                file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink(missing_ok=True)
            count += 1
    return count

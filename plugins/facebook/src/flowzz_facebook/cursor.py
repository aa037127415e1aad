"""How far a run is: the checkpoint, as values that go to JSON and back.

A listing's ``after`` is kept inside a run only (reference §4): it points to an item and dies with it, and then the
listing begins again. Moments and days are ISO 8601.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listing stands: the cursor after the last stored page, pages and rows so far, rows to ask for."""

    limit: int
    after: str | None = None
    page: int = 0
    rows: int = 0
    restarts: int = 0

    def further(self, rows: int, after: str | None) -> Place:
        """One stored page on."""
        return replace(self, after=after, page=self.page + 1, rows=self.rows + rows)

    def restarted(self) -> Place:
        """At the first page again; what was stored stays stored, and counts again."""
        return replace(self, after=None, page=0, rows=0, restarts=self.restarts + 1)


@dataclass(frozen=True, slots=True)
class Window:
    """Days of insights to fetch, ``since`` to ``until``, both included.

    ``report``: the id of the report run that prepares them, kept so that a run that was interrupted polls the old one.
    ``tries``: report runs of these days that came to nothing; ``splits``: how often the range was halved to get here.
    """

    since: str
    until: str
    report: str | None = None
    submitted_at: str | None = None
    polls: int = 0
    is_ready: bool = False
    tries: int = 0
    splits: int = 0
    as_report: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """``full`` asks for the whole structure, ``forced`` for all of the history of insights too.

    ``listing`` counts the finished listings of the structure; ``windows`` is None until they are planned.

    ``counts`` holds the rows of finished listings, ``newest`` the highest updated_time seen, each by the kind's edge.
    """

    run: str
    full: bool
    forced: bool
    since: dict[str, int]
    currency: str | None
    timezone: str
    listing: int = 0
    place: Place | None = None
    windows: tuple[Window, ...] | None = None
    planned: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    errors: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Cursor:
        windows = value.get("windows")
        read = None if windows is None else tuple(Window(**{**one, "place": _place(one["place"])}) for one in windows)
        return cls(**{**value, "place": _place(value["place"]), "windows": read})

    def counted(self, kind: str, rows: int) -> dict[str, int]:
        return {**self.counts, kind: self.counts.get(kind, 0) + rows}


def _place(value: dict[str, Any] | None) -> Place | None:
    return None if value is None else Place(**value)

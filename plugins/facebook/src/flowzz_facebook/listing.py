"""One page after the other of any listing of Meta's, with its traps closed (reference §4).

Only a missing ``next`` ends a listing: a page may be short, or empty, before that. A page that is too much is asked for
again with half the rows; a cursor that died means the first page again; a cursor that repeats is an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from flowzz_facebook.client import GraphClient, Params
from flowzz_facebook.cursor import Place
from flowzz_facebook.errors import ObjectMissing, PagingLoop, Refused, TooMuchData

LEAST_LIMIT = 5
MOST_PAGES = 100_000
MOST_RESTARTS = 3
CURSOR_CODE = 100


class Keeper(Protocol):
    """Whoever a listing is read for."""

    def before(self) -> None:
        """Called before each call of Meta's; raises what ends the reading here, with nothing lost."""
        ...

    def store(self, rows: list[Any]) -> int:
        """Store a page's rows, all or none; how many they were."""
        ...

    def reached(self, place: Place, *, is_last: bool) -> None:
        """A page is stored: remember the place after it, or that the listing is done."""
        ...

    def log(self, message: str) -> None: ...


class Listing:
    """A listing under way, read for ``keeper``."""

    def __init__(self, client: GraphClient, keeper: Keeper) -> None:
        self.client = client
        self.keeper = keeper

    def read(self, path: str, params: Params, place: Place) -> None:
        """Read on from ``place`` to the end.

        Raises TooMuchData when even the smallest page is too much, PagingLoop, and what ``GraphClient.get`` raises.
        """
        seen: set[str] = set()
        while True:
            asked = {**params, "limit": place.limit, **({"after": place.after} if place.after else {})}
            self.keeper.before()
            try:
                page = self.client.page(path, asked)
            except TooMuchData:
                place = self._smaller(path, place)
                continue
            except Refused as refused:
                place = self._restarted(path, place, refused)
                seen.clear()
                continue
            if page.has_next:
                self._guard(path, page.after, seen, place)
            place = place.further(self.keeper.store(page.rows), page.after)
            self.keeper.reached(place, is_last=not page.has_next)
            if not page.has_next:
                return

    def _smaller(self, path: str, place: Place) -> Place:
        if place.limit <= LEAST_LIMIT:
            raise TooMuchData(f"{path}: even {place.limit} rows at once are too much for Meta")
        smaller = replace(place, limit=max(LEAST_LIMIT, place.limit // 2))
        self.keeper.log(f"{path}: Meta asks for less data; {smaller.limit} rows at once from here on")
        return smaller

    def _restarted(self, path: str, place: Place, refused: Refused) -> Place:
        is_cursor = place.after and refused.code == CURSOR_CODE and not isinstance(refused, ObjectMissing)
        if not is_cursor or not self.client.settings.restart_dead_cursors or place.restarts >= MOST_RESTARTS:
            raise refused
        self.keeper.log(
            f"{refused}; ASSUMPTION: that is how Meta refuses the cursor of an item that is gone, so the listing "
            "begins again"
        )
        return place.restarted()

    def _guard(self, path: str, after: str | None, seen: set[str], place: Place) -> None:
        if after is None:
            raise PagingLoop(f"{path}: Meta says that there is more and gives no cursor to it")
        if after == place.after or after in seen or place.page >= MOST_PAGES:
            raise PagingLoop(f"{path}: after page {place.page + 1} Meta gave a cursor that it had given before")
        seen.add(after)

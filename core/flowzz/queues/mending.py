"""Puts right in Redis what others broke: keys of the wrong type, indexes that no longer fit, jobs that stand nowhere.

A script that meets such a key fails in the middle, and would for ever: Redis rolls nothing back. So whoever calls a
script and is told of it mends everything and repeats the call once; each script may be repeated. The sweeper mends as
it goes, a page of keys a sweep, for what no script has met yet.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from redis.exceptions import ResponseError

from flowzz.queues import keys
from flowzz.queues.lua import Script
from flowzz.queues.reading import pack_text

log = structlog.get_logger("flowzz.mending")

PAGE = 1000
"""Keys that one look in passing goes over."""
MOST, WITHIN_S = 5, 10.0
"""So often everything is mended within these seconds; when that did not help, more would only keep Redis busy."""
STALLED_TEXT = pack_text("Stalled: the job said that it ran, but no worker held it any more; keys of Redis were lost.")
FAMILIES = json.dumps(
    [[key.prefix, key.ending, key.type, not key.of] for key in keys.KEYS if key.type not in ("channel", "any")]
)


@dataclass(frozen=True, slots=True)
class Mended:
    """``aside``: (key, type it should have, type it had) of each key set aside; ``put_back`` counts the jobs."""

    aside: list[tuple[str, str, str]]
    put_back: int


class Mender:
    """Mends through one client; may be called from any thread."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._script = Script(client, "mend")
        self._lock = threading.Lock()
        self._mended: deque[float] = deque(maxlen=MOST)

    def around(self, call: Callable[[], Any]) -> Any:
        """What ``call`` gives; when a script broke on what it found in Redis, that is mended and it is called again."""
        began = time.monotonic()
        try:
            return call()
        except ResponseError as error:
            if not _is_broken(error) or not self._everything(error, began):
                raise
        return call()

    def some(self, keep_failed: int, astray_for_ms: int) -> Mended:
        """Look at the next page of keys. Raises what redis-py raises."""
        return self._mend("some", keep_failed, astray_for_ms)

    def _everything(self, error: ResponseError, began: float) -> bool:
        """True when all was mended since ``began``, by us or by another thread; False when that did not help before."""
        with self._lock:
            if self._mended and self._mended[-1] > began:
                return True
            if len(self._mended) == MOST and time.monotonic() - self._mended[0] < WITHIN_S:
                return False
            log.error("a script broke on what Redis holds; mending", error=str(error)[:500])
            self._mend("all", 0, 0)
            self._mended.append(time.monotonic())
            return True

    def _mend(self, how: str, keep_failed: int, astray_for_ms: int) -> Mended:
        arguments = [how, PAGE, astray_for_ms, keep_failed, STALLED_TEXT, 1, FAMILIES]
        *raw, put_back = self._script(args=arguments)
        aside = [tuple(part.decode(errors="replace") for part in entry) for entry in raw]
        for key, expected, found in aside:
            log.error("a key of the wrong type was set aside", key=key, expected=expected, found=found)
        return Mended(aside, int(put_back))


def _is_broken(error: ResponseError) -> bool:
    """The script met a key of the wrong type, or something missing; not: Redis is full, read-only, busy or closed to
    us, for which redis-py has classes, or Redis a word in capitals.
    """
    text = str(error)
    return "WRONGTYPE" in text or (type(error) is ResponseError and "user_script" in text and not text[:2].isupper())

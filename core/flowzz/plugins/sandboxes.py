"""What sandboxes of plugins share: switchable faults, controls, a cut connection. Knows no web framework."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

TRIGGERS = frozenset({"times", "every", "after", "seconds"})
"""Options that every fault takes: see ``Trigger``."""


class UnknownFault(ValueError):
    """No fault, or no option of it, has that name."""


@dataclass(slots=True)
class Trigger:
    """When a fault strikes: at every eligible call, unless narrowed.

    ``after``: not the first so many. ``every``: only each so-many-th. ``times``: at most so often.
    ``seconds``: only so long from the moment it was switched on.
    """

    options: Mapping[str, Any]
    since: float = field(default_factory=time.monotonic)
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        past = self.seen - int(self.options.get("after", 0))
        if past <= 0 or past % int(self.options.get("every", 1)):
            return False
        if "times" in self.options and self.struck >= int(self.options["times"]):
            return False
        if "seconds" in self.options and time.monotonic() - self.since > float(self.options["seconds"]):
            return False
        self.struck += 1
        return True


class Faults:
    """The faults of a sandbox that are on. Safe to use from many threads.

    ``catalogue``: name to meaning. ``options``: name to the options it takes beside those of ``Trigger``.
    ``scopes``: options that every fault takes too, and that narrow it to calls of that value (an account, say).
    """

    def __init__(
        self,
        catalogue: Mapping[str, str],
        options: Mapping[str, AbstractSet[str]] | None = None,
        scopes: AbstractSet[str] = frozenset(),
    ) -> None:
        self.catalogue = catalogue
        self._options = options or {}
        self._scopes = scopes
        self._lock = threading.Lock()
        self._on: dict[str, Trigger] = {}

    def switch(self, wanted: Mapping[str, Any]) -> None:
        """Exactly these are on: name to options, or to true. Raises UnknownFault and changes nothing."""
        on: dict[str, Trigger] = {}
        for name, options in wanted.items():
            if name not in self.catalogue:
                raise UnknownFault(f"no fault is named {name!r}; there are {', '.join(sorted(self.catalogue))}")
            given = {} if options is True else options
            if not isinstance(given, Mapping):
                raise UnknownFault(f"{name}: expected true or an object of options, got {options!r}")
            unknown = set(given) - TRIGGERS - self._scopes - self._options.get(name, frozenset())
            if unknown:
                raise UnknownFault(f"{name}: no option is named {', '.join(sorted(unknown))}")
            on[name] = Trigger(dict(given))
        with self._lock:
            self._on = on

    def strike(self, name: str, **scope: Any) -> Mapping[str, Any] | None:
        """The fault's options when it strikes now, else None. A call that fits its scopes is an eligible one."""
        with self._lock:
            trigger = self._on.get(name)
            if trigger is None or any(trigger.options.get(key, value) != value for key, value in scope.items()):
                return None
            return trigger.options if trigger.strikes() else None

    def show(self) -> dict[str, Any]:
        """What is on, with how often it struck."""
        with self._lock:
            return {name: {**t.options, "struck": t.struck} for name, t in self._on.items()}


def controlled(handler: Callable[..., Any], *args: Any, **arguments: Any) -> tuple[Any, int]:
    """What a control of the sandbox answers, and its status.

    200 with what ``handler`` returns; 404 for a KeyError and 400 for a ValueError (pydantic's too), with their message.
    """
    try:
        return handler(*args, **arguments), 200
    except KeyError as error:
        return {"message": f"not found: {error}"}, 404
    except ValueError as error:
        return {"message": str(error)}, 400


def whole_number(asked: Mapping[str, Any], name: str, default: int, most: int) -> int:
    """``asked[name]``, from 1 to ``most``; raises ValueError that names it."""
    value = asked.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"expected {name} to be 1 to {most}, got {value!r}")
    return value


def cut_connection(environ: Mapping[str, Any]) -> bool:
    """Reset the connection under a WSGI request, as a crashing server would; False where the server hides it.

    Works under Werkzeug and gunicorn; whatever the application answers then reaches nobody.
    """
    link = environ.get("werkzeug.socket") or environ.get("gunicorn.socket")
    if not isinstance(link, socket.socket):
        return False
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.shutdown(socket.SHUT_RDWR)
    return True

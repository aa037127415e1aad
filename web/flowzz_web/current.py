"""What every view may reach: one frozen object per application, instead of globals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app, g

from flowzz.app import Flowzz
from flowzz.store import User
from flowzz_web.throttle import LoginThrottle
from flowzz_web.tokens import Tokens

EXTENSION = "flowzz"


@dataclass(frozen=True, slots=True)
class Web:
    flowzz: Flowzz
    tokens: Tokens
    throttle: LoginThrottle


def web() -> Web:
    """The parts of the application that serves this request."""
    parts = current_app.extensions[EXTENSION]
    assert isinstance(parts, Web)  # noqa: S101 - tells the type; create_app put it there
    return parts


def the_flowzz() -> Flowzz:
    return web().flowzz


def visitor() -> User | None:
    """Who makes this request, as ``access.guard`` found; None on public pages."""
    user: User | None = g.get("visitor")
    return user


def who() -> str:
    """Who makes this request, as it goes on record: the account's e-mail, '' for a stranger."""
    user = visitor()
    return user.email if user else ""


def audit(action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
    """Put on record what this request's visitor did."""
    the_flowzz().store.record_audit(who(), action, target, detail)

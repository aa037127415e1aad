"""What the store gives out: values without behaviour. Times are aware UTC. Connections: ``flowzz.jobs.connection``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a user may do: ``viewer`` looks, ``operator`` also acts on jobs, ``admin`` does everything."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"

    @property
    def wire(self) -> str:
        """The name in the API and in tokens: ``ADMIN``."""
        return self.value.upper()


@dataclass(frozen=True, slots=True)
class Company:
    """A customer of the installation; its ``id`` is the ``empresaId`` of payloads."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in; ``email`` is in lower case."""

    id: str
    email: str
    role: Role
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """``actor`` did ``action`` to ``target``; ``id`` grows with time."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any]

"""A company's connection to one upstream, as a handler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class ConnectionState(StrEnum):
    """``active`` runs; ``paused`` was stopped by a person; ``needs_credentials`` by a refused token."""

    ACTIVE = "active"
    PAUSED = "paused"
    NEEDS_CREDENTIALS = "needs_credentials"


@dataclass(frozen=True, slots=True)
class Connection:
    """One company's account at one upstream.

    ``config`` holds the plain fields of the plugin's connection model, ``secrets`` the ones typed as secrets;
    the latter are encrypted at rest and print as stars.

    ``state_since`` is when it came into its state. ``checked_at`` is when somebody last tested it, ``check_problem``
    what was wrong then (None: nothing). ``succeeded_at`` is when a job last completed with it, to the minute.
    """

    id: str
    company_id: str
    plugin: str
    label: str
    state: ConnectionState
    state_reason: str | None
    config: Mapping[str, Any]
    secrets: Mapping[str, SecretStr] = field(repr=False)
    created_at: datetime
    updated_at: datetime
    state_since: datetime | None = None
    checked_at: datetime | None = None
    check_problem: str | None = None
    succeeded_at: datetime | None = None

    def configured(self, model: type[ConfigT]) -> ConfigT:
        """Config and secrets together, as the plugin's own connection model (fields by Python name)."""
        return model.model_validate({**self.config, **self.secrets}, by_name=True)

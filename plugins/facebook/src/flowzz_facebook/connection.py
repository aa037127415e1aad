"""What a company gives to be connected to Facebook's Marketing API."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter, field_validator

HISTORY_MONTHS = 37
"""Meta keeps insights this long; what is older is error 3018 (reference §3.4)."""

_URL = TypeAdapter(HttpUrl)
_VERSION = re.compile(r"v\d{1,3}\.\d\Z")
_ACCOUNT = re.compile(r"(?:act_)?(\d{1,30})\Z")


def bare_account(value: str) -> str:
    """The digits of an ad account's id, with or without ``act_``. Raises ValueError."""
    found = _ACCOUNT.match(value.strip())
    if found is None:
        raise ValueError(f"expected an ad account id such as act_1234567890 or 1234567890, got {value!r}")
    return found[1]


class FacebookConnection(BaseModel):
    """One business's access: a token, its ad accounts, and how we may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_token: SecretStr = Field(
        title="Access token",
        description="A system user's token with ads_read, from Business settings → System users.",
    )
    app_secret: SecretStr | None = Field(
        default=None,
        title="App secret",
        description="Signs each call (appsecret_proof); needed where the app requires it, harmless otherwise.",
    )
    ad_account_ids: tuple[str, ...] = Field(
        min_length=1, title="Ad accounts", description="Ids, separated by commas, with or without act_."
    )
    api_version: str = Field(
        default="v26.0", title="API version", description="Marketing API version; Meta ends each after about a year."
    )
    base_url: str = Field(
        default="https://graph.facebook.com", title="Base URL", description="Where the Graph API answers."
    )
    purchase_action_type: str = Field(
        default="omni_purchase",
        min_length=1,
        title="Purchase action type",
        description="Meta reports one purchase under several types; this one counts, the others are never added to it.",
    )
    history_days: int = Field(
        default=90, ge=28, le=1120, title="Days of history", description="How far back a full sync asks for insights."
    )
    full_sync_days: int = Field(
        default=7,
        ge=0,
        le=90,
        title="Days between full syncs",
        description="ASSUMPTION: updated_time does not move for every change (a paused parent), so ask for everything "
        "this often; 0 never does.",
    )
    restart_dead_cursors: bool = Field(
        default=True,
        title="Restart dead cursors",
        description="ASSUMPTION: an error of code 100 in the middle of a listing means that its cursor is gone; "
        "list again from the first page.",
    )
    page_size: int = Field(
        default=100, ge=1, le=500, title="Objects a page", description="Campaigns, ad sets or ads asked for at once."
    )
    insights_page_size: int = Field(
        default=500, ge=1, le=1000, title="Rows a page", description="Rows of insights asked for at once."
    )
    poll_seconds: float = Field(
        default=5,
        gt=0,
        le=60,
        title="Seconds to a report",
        description="When to look first whether a report is ready; the wait doubles up to a minute.",
    )

    @field_validator("ad_account_ids", mode="before")
    @classmethod
    def _are_accounts(cls, value: Any) -> Any:
        listed = value.split(",") if isinstance(value, str) else value
        if not isinstance(listed, list | tuple):
            return value
        return tuple(dict.fromkeys(bare_account(str(one)) for one in listed if str(one).strip()))

    @field_validator("base_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        _URL.validate_python(value)
        return value.rstrip("/")

    @field_validator("api_version")
    @classmethod
    def _is_version(cls, value: str) -> str:
        if not _VERSION.match(value):
            raise ValueError(f"expected a version such as v26.0, got {value!r}")
        return value

    @field_validator("access_token", "app_secret")
    @classmethod
    def _is_one_word(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value().strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("expected one word of plain letters and digits")
        return SecretStr(text)
